"""What the routes work with, and what several of them do: prove who it is, begin a login."""

import asyncio
import secrets
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Annotated, Final, NamedTuple

from fastapi import Depends, Request
from pydantic import SecretStr

from services.auth import domain, totp
from services.auth.bodies import Session
from services.auth.domain import ACCESS_TTL, Totp, User
from services.auth.guessing import WrongGuess, guess
from services.auth.keys import KeyRing
from services.auth.passwords import Passwords
from services.auth.queries import Accounts
from services.auth.record import Record
from services.auth.settings import AuthSettings
from services.auth.strength import check_password
from services.shared.contract.codes import Code
from services.shared.contract.decisions import Unavailable
from services.shared.database.clock import Clock
from services.shared.database.trail import Trail
from services.shared.http.auth import Forbidden, Unauthenticated
from services.shared.http.auth import User as Holding
from services.shared.http.dependencies import Caller, Holder
from services.shared.http.origin import by
from services.shared.http.rights import Right
from services.shared.http.validation import invalid
from services.shared.sealing import CannotBeOpened, Seals

SECRET_BYTES: Final = 32
ID_BYTES: Final = 16
# Tokens must not stay in a cache.
NO_STORE: Final = {"Cache-Control": "no-store"}
GONE: Final = "the account does not exist any more"
DISABLED: Final = "the account is disabled: ask the shop's support"
ENDED: Final = "all logins of the account were ended: log in again"
CODE_NEEDED: Final = "the account has a second factor: send `code` as well, of its app or a recovery code"


class Desk(NamedTuple):
    """What the routes work with."""

    settings: AuthSettings
    accounts: Accounts
    passwords: Passwords
    keys: KeyRing
    clock: Clock
    trail: Trail
    seals: Seals
    # Set where there is a new letter: whoever sends them need not wait for the next look.
    letter_added: asyncio.Event


async def _desk(request: Request) -> Desk:
    desk: Desk = request.app.state.desk
    return desk


async def _record(request: Request, desk: Annotated[Desk, Depends(_desk)]) -> Record:
    return Record(desk.trail, desk.clock, by(request))


TheDesk = Annotated[Desk, Depends(_desk)]
TheRecord = Annotated[Record, Depends(_record)]


async def _account_of(caller: Caller, desk: TheDesk) -> User:
    return await present(desk, caller.id, caller.epoch, Code.TOKEN_INVALID)


# The account of the caller, whose token is of a login that nothing has ended.
TheAccount = Annotated[User, Depends(_account_of)]


class Present:
    """A caller who has this right, by a token of a login that nothing has ended."""

    def __init__(self, right: Right) -> None:
        self._holder = Holder(right)

    async def __call__(self, caller: Caller, _: TheAccount) -> Holding:
        return await self._holder(caller)


async def present(desk: Desk, user_id: str, epoch: int, refusal: Code = Code.REFRESH_TOKEN_REFUSED) -> User:
    """The account as it is now. Raise Unauthenticated, Forbidden where it or a login of `epoch` has ended."""
    user = await desk.accounts.user(user_id)
    if user is None:
        raise Unauthenticated(GONE, Code.ACCOUNT_GONE)
    if user.disabled:
        raise Forbidden(DISABLED)
    if user.epoch != epoch:
        raise Unauthenticated(ENDED, refusal)
    return user


async def try_password(desk: Desk, user: User, password: SecretStr) -> None:
    """Raise WrongGuess where it is not the account's: to be called within a `guess`."""
    check = await desk.passwords.check(password.get_secret_value(), user.password_hash)
    if not check.is_right:
        raise WrongGuess("the current password is wrong")


def guess_of_password(desk: Desk, user: User) -> AbstractAsyncContextManager[None]:
    """One budget for the current password of an account, by its access tokens."""
    return guess(desk.accounts, f"password:{user.id}", desk.clock.now())


def acceptable(new: SecretStr, user: User) -> str:
    """The new password of an account. Raise RequestValidationError where it is too easy to guess."""
    password = new.get_secret_value()
    try:
        check_password(password, user.email)
    except ValueError as error:
        raise invalid("body", ["newPassword"], str(error)) from None
    return password


def secret_of(desk: Desk, user: User, factor: Totp) -> str:
    """What codes are made of. Raise Unavailable where the key is not there that it was sealed with."""
    try:
        return desk.seals.open(factor.secret, totp.owner(user)).decode()
    except CannotBeOpened as error:
        raise Unavailable("codes cannot be checked at the moment") from error


async def spend(
    desk: Desk, user: User, code: str | None, then: Callable[[User], User] = lambda user: user
) -> User:
    """The account with a code of its second factor used up, which of many at once one does.

    `then` is what the code is for, done in the same write. Raise Unauthenticated where there is no code,
    WrongGuess where it is wrong or was used, and Problem where there were too many of those, wherever they
    were tried.
    """
    if code is None:
        raise Unauthenticated(CODE_NEEDED, Code.TOTP_REQUIRED)

    def used(current: User) -> User:
        if current.totp is None or current.epoch != user.epoch:
            raise Unauthenticated(ENDED, Code.REFRESH_TOKEN_REFUSED)
        # First, without the secret: they are what is left where no key opens that any more.
        spent = totp.recovered(current.totp, code)
        if spent is None:
            secret = secret_of(desk, current, current.totp)
            spent = totp.with_code(current.totp, secret, code, desk.clock.now())
        if spent is None:
            raise WrongGuess("the code is wrong, or was used: wait for the next one", Code.TOTP_REFUSED)
        return then(totp.with_spent(current, spent))

    async with guess_of_code(desk, user):
        changed = await desk.accounts.change(user.id, used)
    if changed is None:
        raise Unauthenticated(GONE, Code.ACCOUNT_GONE)
    return changed.after


def guess_of_code(desk: Desk, user: User) -> AbstractAsyncContextManager[None]:
    """One budget for the codes of an account, whoever tries them, and for what."""
    return guess(desk.accounts, f"code:{user.id}", desk.clock.now(), "codes")


async def begin(desk: Desk, user: User) -> Session:
    """Begin a login of `user`, as it was when its password was checked."""
    if user.disabled:  # which nobody is told without the password
        raise Forbidden(DISABLED)
    family_id, secret = secrets.token_urlsafe(ID_BYTES), secrets.token_urlsafe(SECRET_BYTES)
    await desk.accounts.begin(domain.begin(family_id, user, secret, desk.clock.now()))
    # Hashing takes its time: whatever ended all logins meanwhile ends this one.
    return new_session(desk, await present(desk, user.id, user.epoch), f"{family_id}.{secret}")


def new_session(desk: Desk, user: User, refresh_token: str) -> Session:
    settings = desk.settings
    roles = totp.granted(user, required=settings.require_totp)
    said = domain.claims(
        user,
        roles,
        desk.clock.now(),
        settings.jwt_issuer,
        settings.jwt_audience,
        secrets.token_urlsafe(ID_BYTES),
    )
    return Session(
        access_token=desk.keys.sign(said),
        refresh_token=refresh_token,
        expires_in=int(ACCESS_TTL.total_seconds()),
        totp_missing=len(roles) < len(user.roles),
    )
