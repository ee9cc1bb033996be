"""What routes ask for, as FastAPI's dependencies: the caller, a right of theirs, an Idempotency-Key."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from fastapi import Depends, Request
from fastapi.security import HTTPBearer

from services.shared.contract.decisions import Decision
from services.shared.http.auth import Forbidden, KeysUnavailable, Tokens, Unauthenticated, User
from services.shared.http.rights import Right, refusal
from services.shared.http.validation import invalid
from services.shared.languages import preferred

LONGEST_KEY: Final = 200
# Headers are read by hand: FastAPI's own parameter costs a tenth of an order's time. These document them.
_bearer = HTTPBearer(auto_error=False)
REPLAYED: Final = {"Idempotency-Replayed": "true"}
IDEMPOTENT: Final[dict[str, Any]] = {
    "parameters": [
        {
            "name": "Idempotency-Key",
            "in": "header",
            "required": False,
            "description": "A request with the same key within a day changes nothing more. Its answer is what"
            " the first request created or changed, in its current state, with Idempotency-Replayed: true.",
            "schema": {"type": "string", "minLength": 1, "maxLength": LONGEST_KEY},
        }
    ]
}

# What `language` reads.
LANGUAGE: Final[dict[str, Any]] = {
    "name": "Accept-Language",
    "in": "header",
    "required": False,
    "description": "The language of mails to the customer, such as `de-AT`. Only the first choice counts; the"
    " default is English.",
    "schema": {"type": "string"},
}


async def caller_of(request: Request, _: Annotated[object, Depends(_bearer)]) -> User:
    tokens: Tokens = request.app.state.tokens
    return await tokens.user(request.headers.get("authorization"))


async def _maybe_caller(request: Request, _: Annotated[object, Depends(_bearer)]) -> User | None:
    """For routes that anybody may ask: who cannot be known is anybody, with an expired token, too."""
    tokens: Tokens = request.app.state.tokens
    authorization = request.headers.get("authorization")
    if authorization is None:
        return None
    try:
        return await tokens.user(authorization)
    except (Unauthenticated, KeysUnavailable):
        return None


async def _idempotency_key(request: Request) -> str | None:
    key = request.headers.get("idempotency-key")
    if key is not None and not 0 < len(key) <= LONGEST_KEY:
        raise invalid("header", ["Idempotency-Key"], f"a key has 1 to {LONGEST_KEY} characters")
    return key


def replay(decision: Decision) -> Mapping[str, str]:
    """The field that tells whether the answer is about what an earlier request with the key did: or none."""
    return REPLAYED if decision.replayed else {}


class Holder:
    """A caller who has this right: `Annotated[User, Depends(Holder(Right.RESTOCK))]`."""

    def __init__(self, right: Right) -> None:
        self._right = right

    async def __call__(self, caller: Annotated[User, Depends(caller_of)]) -> User:
        if not caller.may(self._right):
            raise Forbidden(refusal(self._right))
        return caller


Caller = Annotated[User, Depends(caller_of)]
MaybeCaller = Annotated[User | None, Depends(_maybe_caller)]
# On routes with `openapi_extra=IDEMPOTENT`, whose answers have the field of `replay`.
IdempotencyKeyHeader = Annotated[str | None, Depends(_idempotency_key)]


async def _language(request: Request) -> str | None:
    return preferred(request.headers.get("accept-language"))


# On routes whose description has LANGUAGE among its parameters.
Language = Annotated[str | None, Depends(_language)]
