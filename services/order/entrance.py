"""Where no new orders are taken, that is said first: refusing has to cost far less than serving.

Under overload most are refused, and what that costs is taken from those that are not: here is no span, no
line in the log and no route, not even a task.
"""

from typing import Final

from services.order.pressure import TOO_MANY, Pressure
from services.shared.contract.codes import Code
from services.shared.http import request_ids
from services.shared.http.problems import problem
from services.shared.http.protocol import Asked

ORDERS: Final = b"/api/orders"
# Made once: to make it anew takes as long as all else that a refusal takes.
_REFUSAL: Final = problem(Code.OVERLOADED, TOO_MANY)
_HEAD: Final = b"".join(
    (
        b"HTTP/1.1 %d Service Unavailable\r\n" % _REFUSAL.status_code,
        *(b"%s: %s\r\n" % header for header in _REFUSAL.raw_headers),
        b"%s: " % request_ids.HEADER,
    )
)
_END: Final = b"\r\n\r\n%s" % bytes(_REFUSAL.body)


class Entrance:
    """For the server's protocol: a 503 for a new order while there is too much pressure."""

    def __init__(self, pressure: Pressure) -> None:
        self._pressure = pressure

    def __call__(self, asked: Asked) -> bytes | None:
        """Return the whole answer for one that is turned away, else None."""
        if asked.method != b"POST" or asked.target != ORDERS:
            return None
        headers = dict(asked.headers)
        # With a key it may be one that was taken before: its route looks, and checks after that.
        if b"idempotency-key" in headers or not self._pressure.refuses():
            return None
        return b"%s%s%s" % (_HEAD, request_ids.request_id(headers).encode(), _END)
