"""The order service's admin API: which orders are stale, and the request to compensate one."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from math import ceil
from time import monotonic
from typing import Any
from urllib.parse import quote

import aiohttp

from saga_operator.policy.policy import LISTED_AT_MOST, Failure, Outcome, StaleOrder

REASON = "SAGA_TIMEOUT"


class OrderServiceError(Exception):
    """`reason` is CamelCase, for a condition."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.failure = Failure(reason, message)


@dataclass(frozen=True)
class Endpoint:
    """Where the order service is. The token never shows in a representation, and so in no log."""

    url: str
    token: str
    timeout: timedelta = timedelta(seconds=5)

    def __repr__(self) -> str:
        return f"Endpoint({self.url!r})"


class OrderService:
    """`Orders` over HTTP. Redirects are refused: they would carry the token elsewhere."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        endpoint: Endpoint,
        called: Callable[[str, str, float], None] = lambda *_: None,
    ) -> None:
        """`called` is told of each request: what was asked, `ok` or why not, and how many seconds it took."""
        self._session = session
        self._endpoint = endpoint
        self._called = called
        self._timeout = aiohttp.ClientTimeout(total=endpoint.timeout.total_seconds())

    async def stale(self, status: str, older_than: timedelta) -> list[StaleOrder]:
        query = f"status={status}&olderThan={_seconds(older_than)}&limit={LISTED_AT_MOST}"
        answer = await self._told("list", "GET", f"/internal/orders/stale?{query}")
        try:
            return [_stale_order(order) for order in answer["orders"]]
        except (KeyError, TypeError, ValueError) as error:
            raise OrderServiceError(
                "BadAnswer", f"the list of stale orders is malformed: {error!r}"
            ) from error

    async def compensate(self, order: StaleOrder, older_than: timedelta, reason: str = REASON) -> Outcome:
        body = {"reason": reason, "status": order.status, "olderThan": _seconds(older_than)}
        path = f"/internal/orders/{quote(order.order_id, safe='')}/compensate"
        answer = await self._told("compensate", "POST", path, body)
        try:
            return Outcome(answer["outcome"])
        except (KeyError, TypeError, ValueError) as error:
            raise OrderServiceError(
                "BadAnswer", f"the answer to a compensation is malformed: {error!r}"
            ) from error

    async def _told(self, call: str, method: str, path: str, body: dict[str, Any] | None = None) -> Any:  # noqa: ANN401 - JSON
        began, result = monotonic(), "ok"
        try:
            return await self._call(method, path, body)
        except OrderServiceError as error:
            result = error.failure.reason
            raise
        finally:
            self._called(call, result, monotonic() - began)

    async def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:  # noqa: ANN401 - JSON
        headers = {"Authorization": f"Bearer {self._endpoint.token}"}
        try:
            async with self._session.request(
                method,
                self._endpoint.url.rstrip("/") + path,
                json=body,
                headers=headers,
                timeout=self._timeout,
                allow_redirects=False,
            ) as response:
                if response.status != HTTPStatus.OK:
                    raise _refusal(
                        response.status, f"{method} {response.url.path} answered {response.status}"
                    )
                return await response.json(content_type=None)
        except TimeoutError as error:
            raise OrderServiceError("Timeout", f"no answer within {self._timeout.total:g} s") from error
        except aiohttp.ClientError as error:
            raise OrderServiceError("ConnectionFailed", str(error) or type(error).__name__) from error
        except ValueError as error:
            raise OrderServiceError("BadAnswer", f"the answer to {method} {path} is not JSON") from error


def _refusal(status: int, message: str) -> OrderServiceError:
    if status == HTTPStatus.UNAUTHORIZED:
        return OrderServiceError("Unauthorized", message)
    if status == HTTPStatus.FORBIDDEN:
        return OrderServiceError("Forbidden", message)
    return OrderServiceError(
        "ServerError" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "Rejected", message
    )


def _stale_order(answer: dict[str, Any]) -> StaleOrder:
    since = datetime.fromisoformat(answer["stateSince"])
    if since.tzinfo is None:
        raise ValueError("stateSince has no time zone")
    return StaleOrder(str(answer["orderId"]), str(answer["status"]), since)


def _seconds(duration: timedelta) -> int:
    return ceil(duration.total_seconds())
