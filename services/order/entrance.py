"""Where no new orders are taken, that is said first: refusing has to cost far less than serving."""

from http import HTTPStatus
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from services.order.pressure import Pressure
from services.shared.contract.decisions import Unavailable
from services.shared.http.problems import RETRY_AFTER, problem

ORDERS: Final = "/api/orders"


class Entrance:
    """ASGI middleware, in front of the routes: what is refused here costs none of their work."""

    def __init__(self, app: ASGIApp, pressure: Pressure) -> None:
        self._app, self._pressure = app, pressure

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if _is_new_order(scope):
            try:
                self._pressure.check()
            except Unavailable as error:
                refusal = problem(HTTPStatus.SERVICE_UNAVAILABLE, str(error), RETRY_AFTER)
                await refusal(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _is_new_order(scope: Scope) -> bool:
    """With an idempotency key it may be one that was taken before: its route looks, and checks after that."""
    if scope["type"] != "http" or scope["method"] != "POST" or scope["path"] != ORDERS:
        return False
    return all(name != b"idempotency-key" for name, _ in scope["headers"])
