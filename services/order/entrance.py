"""Where no new orders are taken, that is said first: refusing has to cost far less than serving."""

from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from services.order.pressure import TOO_MANY, Pressure
from services.shared.contract.codes import Code
from services.shared.http import request_ids
from services.shared.http.problems import problem

ORDERS: Final = "/api/orders"
# Made once: to make it anew takes as long as all else that a refusal takes.
_REFUSAL: Final = problem(Code.OVERLOADED, TOO_MANY)


class Entrance:
    """ASGI middleware, around all others: no span, no line and no route for what is refused here."""

    def __init__(self, app: ASGIApp, pressure: Pressure) -> None:
        self._app, self._pressure = app, pressure

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if _is_new_order(scope) and self._pressure.refuses():
            await _refuse(scope, send)
        else:
            await self._app(scope, receive, send)


async def _refuse(scope: Scope, send: Send) -> None:
    own_id = request_ids.request_id(dict(scope["headers"])).encode()
    headers = [*_REFUSAL.raw_headers, (request_ids.HEADER, own_id)]
    await send({"type": "http.response.start", "status": _REFUSAL.status_code, "headers": headers})
    await send({"type": "http.response.body", "body": _REFUSAL.body})


def _is_new_order(scope: Scope) -> bool:
    """With an idempotency key it may be one that was taken before: its route looks, and checks after that."""
    if scope["type"] != "http" or scope["method"] != "POST" or scope["path"] != ORDERS:
        return False
    return all(name != b"idempotency-key" for name, _ in scope["headers"])
