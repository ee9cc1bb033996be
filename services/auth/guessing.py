"""One guess of a secret: counted before it is tried, and only where it was wrong, afterwards."""

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

from services.auth import guesses
from services.auth.queries import Accounts
from services.shared.contract.codes import Code
from services.shared.http.auth import Unauthenticated
from services.shared.http.problems import Problem


class WrongGuess(Unauthenticated):
    """What was tried is wrong: it stays counted."""

    def __init__(self, detail: str, code: Code = Code.LOGIN_FAILED) -> None:
        super().__init__(detail, code)


@asynccontextmanager
async def guess(accounts: Accounts, id_: str, now: datetime, what: str = "passwords") -> AsyncIterator[None]:
    """Try a secret in here, one of `what`, and raise WrongGuess where it is wrong.

    Raise Problem where none is to be tried yet.
    """
    left = await accounts.count_guess(id_, now, guesses.PASSWORDS)
    if left:
        seconds = math.ceil(left.total_seconds())
        raise Problem(
            Code.RATE_LIMITED,
            f"there were too many wrong {what} for this account: try again in {seconds} s",
            {"Retry-After": str(seconds)},
        )
    try:
        yield
    except WrongGuess:
        raise
    except Exception:
        await accounts.forget_guess(id_)
        raise
    await accounts.forget_guess(id_)
