"""What went wrong, as a person is told it, and the exit code that it comes to. Nobody else decides that."""

import asyncio
from collections.abc import Awaitable
from http import HTTPStatus
from typing import Final, NamedTuple, TypeVar

import aiohttp
import msgspec
from aio_pika.exceptions import AMQPError, AuthenticationError, ProbableAuthenticationError
from aiormq.exceptions import ChannelAccessRefused, ConnectionNotAllowed
from pymongo.errors import OperationFailure, PyMongoError

from saga_operator.policy.orders import OrderServiceError
from saga_operator.policy.policy import REFUSALS as REFUSED_BY_ORDERS
from sagactl.access import GATEWAY_LOGIN, URLS, NoAccessError
from sagactl.exits import Exit
from sagactl.kept_login import NotKeptError
from sagactl.shop import NOT_NOW, REFUSALS, ShopError
from services.payment.gateway import GatewayRefused, GatewayUnavailable
from services.shared.brevity import in_short
from services.shared.database.store import UnreadableError

Found = TypeVar("Found")
# Of MongoDB's: Unauthorized, AuthenticationFailed.
NOT_ALLOWED: Final = frozenset({13, 18})
OF_SERVERS: Final = f"Is it up, and are {', '.join(URLS)} right? A local stack: make up"
OF_THE_GATEWAY: Final = (
    f"Is the shop up, and are {', '.join(GATEWAY_LOGIN)} right, or the login (sagactl whoami)?"
    " ADMIN_CODE is a code of the second factor."
)

OF_DOCUMENTS: Final = (
    "A newer release wrote it, or somebody changed it by hand. Is this sagactl (sagactl --version) that of"
    " the services? sagactl check --live checks everything else, and names what it cannot read."
)


class UnavailableError(RuntimeError):
    """A server does not answer what it was asked. The text says which, and what it said."""


class GatewayError(UnavailableError):
    """It is the shop's own gateway."""


class ForbiddenError(UnavailableError):
    """A server answers that this user may not. The text says which."""


class WrongError(RuntimeError):
    """The shop answers, and something is wrong with it. The text says what."""


class AbsentError(WrongError):
    """There is no such thing. The text says what, and where to look."""


class Fault(NamedTuple):
    code: Exit
    says: str
    # What to do next.
    hint: str = ""


def fault(error: Exception) -> Fault | None:
    """None for what is no one's fault but our own: that is to be seen with its traceback."""
    match error:
        case WrongError():
            return Fault(Exit.BAD, str(error))
        case NoAccessError() | NotKeptError():
            return Fault(Exit.USAGE, str(error))
        case ShopError():
            return _of_shop(error)
        case GatewayError() | aiohttp.ClientError():
            return Fault(_reached(error), _said("the gateway does not answer", error), OF_THE_GATEWAY)
        case UnavailableError():
            return Fault(_reached(error), str(error), OF_SERVERS)
    return _of_server(error)


async def answered(work: Awaitable[Found], within: float) -> Found | Fault:
    """What it comes to `within` so many seconds, or why not. Raises what is nobody's fault but ours."""
    try:
        async with asyncio.timeout(within) as limit:
            return await work
    except Exception as error:
        known = fault(error)
        if known is None:
            raise
        return known._replace(says=f"no answer within {within:g} seconds") if limit.expired() else known


def _of_server(error: Exception) -> Fault | None:
    match error:
        case PyMongoError():
            what = "MongoDB does not answer"
        case AMQPError():
            what = "RabbitMQ does not answer"
        case GatewayUnavailable():
            what = "the payment gateway does not answer"
        case GatewayRefused():
            return Fault(Exit.BAD, f"the payment gateway refuses: {error}")
        case UnreadableError():
            return Fault(Exit.UNREACHED, str(error), OF_DOCUMENTS)
        case msgspec.ValidationError():
            return Fault(Exit.UNREACHED, f"the data is not as this release writes it: {error}")
        case OSError(filename=str() as file, strerror=why):
            return Fault(Exit.USAGE, f"{file}: {why}")
        case OSError():  # also what did not come in time
            what = "a server does not answer"
        case _:
            return None
    code = _reached(error)
    if code is Exit.NOT_ALLOWED:
        what = what.replace("does not answer", "refuses")
    return Fault(code, _said(what, error), OF_SERVERS)


def _of_shop(error: ShopError) -> Fault:
    if error.status in REFUSALS:
        return Fault(Exit.NOT_ALLOWED, str(error), OF_THE_GATEWAY)
    cannot = error.status in NOT_NOW or error.status >= HTTPStatus.INTERNAL_SERVER_ERROR
    return Fault(Exit.UNREACHED, str(error), OF_THE_GATEWAY) if cannot else Fault(Exit.BAD, str(error))


def _reached(error: Exception) -> Exit:
    return Exit.NOT_ALLOWED if _is_refusal(error) else Exit.UNREACHED


def _is_refusal(error: BaseException | None) -> bool:
    """Whether it is, or comes of, an answer that this user may not."""
    match error:
        case None:
            return False
        case OperationFailure(code=code) if code in NOT_ALLOWED:
            return True
        case aiohttp.ClientResponseError(status=status) if status in REFUSALS:
            return True
        case OrderServiceError(failure=failure) if failure.reason in REFUSED_BY_ORDERS:
            return True
        case (
            ForbiddenError()
            | AuthenticationError()
            | ProbableAuthenticationError()
            | ChannelAccessRefused()
            | ConnectionNotAllowed()
        ):
            return True
    return _is_refusal(error.__cause__)


def _said(what: str, error: Exception) -> str:
    if isinstance(error, UnavailableError):
        return str(error)
    return f"{what}: {in_short(str(error)) or type(error).__name__}"
