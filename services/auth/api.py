"""Accounts over HTTP: register, log in, stay logged in, log out; and the keys that tokens are checked by."""

import secrets
import uuid
from functools import partial
from http import HTTPStatus
from typing import Final

from fastapi import APIRouter, Request, Response

from services.auth import by_mail, domain, examples, standing
from services.auth.bodies import Account, Credentials, NewPassword, RefreshToken, Registration, Session
from services.auth.desk import (
    CODE_NEEDED,
    NO_STORE,
    SECRET_BYTES,
    Desk,
    TheAccount,
    TheDesk,
    TheRecord,
    acceptable,
    begin,
    guess_of_password,
    new_session,
    present,
    spend,
    try_password,
)
from services.auth.domain import Family, Use, User
from services.auth.guessing import WrongGuess, guess
from services.auth.letters import Kind
from services.auth.record import actor
from services.shared import emails
from services.shared.contract.audit import Action, Outcome
from services.shared.contract.codes import Code
from services.shared.contract.decisions import Refused
from services.shared.http.auth import Unauthenticated
from services.shared.http.dependencies import LANGUAGE, Caller, Language
from services.shared.http.described import described
from services.shared.http.origin import address_of
from services.shared.http.routing import Route

# Shorter than the time for which verifiers remember the keys.
KEYS_CACHE: Final = {"Cache-Control": "public, max-age=30"}
WRONG: Final = "the e-mail address or the password is wrong"
NO_SUCH_TOKEN: Final = "there is no such refresh token, or it has expired: log in"  # noqa: S105  # a sentence


router = APIRouter(tags=["auth"], route_class=Route)


@router.post(
    "/auth/register",
    status_code=HTTPStatus.CREATED,
    responses=described([Code.EMAIL_TAKEN, Code.OVERLOADED]),
    openapi_extra={"parameters": [LANGUAGE]},
)
async def register(
    body: Registration, desk: TheDesk, record: TheRecord, locale: Language, response: Response
) -> Account:
    """Create an account. Log in afterwards."""
    user = User(
        id=str(uuid.uuid4()),
        email=emails.normalize(body.email),
        address=body.email,
        name=body.name,
        password_hash=await desk.passwords.hash(body.password.get_secret_value()),
        created_at=desk.clock.now(),
    )
    # First, so that there is no account whose letter is missing; one without its account is for nobody.
    await by_mail.owe(desk, Kind.VERIFY, user, locale)
    await desk.accounts.add(user)
    desk.letter_added.set()
    await record.of(Action.REGISTERED, user.id, actor(user))
    response.headers.update(NO_STORE)
    response.headers["Location"] = "/auth/me"
    return _account(user)


@router.post(
    "/auth/login",
    responses=described(
        [
            Code.LOGIN_FAILED,
            Code.TOTP_REQUIRED,
            Code.TOTP_REFUSED,
            Code.FORBIDDEN,
            Code.RATE_LIMITED,
            Code.OVERLOADED,
        ]
    ),
)
async def log_in(body: Credentials, desk: TheDesk, record: TheRecord, response: Response) -> Session:
    """Get an access token that is valid for 15 minutes, and a refresh token to get the next ones.

    If the account has a second factor, the login also needs its `code`.
    """
    user = await desk.accounts.user_of(body.email)
    async with record.refusals(Action.LOGIN, "" if user is None else user.id):
        async with guess(desk.accounts, await _guesser(desk, body, user), desk.clock.now()):
            check = await desk.passwords.check(
                body.password.get_secret_value(), None if user is None else user.password_hash
            )
            if user is None or not check.is_right:
                raise WrongGuess(WRONG)
            if user.has_totp:
                user = await spend(desk, user, body.code)
        if check.newer_hash:
            # Where the account was changed meanwhile, this waits for the next login.
            await desk.accounts.replace(user, standing.with_newer_hash(user, check.newer_hash))
        session = await begin(desk, user)
    await record.of(Action.LOGIN, user.id, actor(user))
    response.headers.update(NO_STORE)
    return session


@router.post(
    "/auth/refresh", responses=described([Code.REFRESH_TOKEN_REFUSED, Code.ACCOUNT_GONE, Code.FORBIDDEN])
)
async def refresh(
    body: RefreshToken, desk: TheDesk, record: TheRecord, request: Request, response: Response
) -> Session:
    """Exchange a refresh token for a new pair of tokens. It works once: using it again ends the login.

    If the answer was lost, the same client may repeat the request within ten seconds. The newest pair counts.
    """
    family_id, _, secret = body.refresh_token.partition(".")
    successor = secrets.token_urlsafe(SECRET_BYTES)
    client = domain.client(address_of(request), request.headers.get("user-agent", ""))

    def decide(family: Family) -> tuple[Family, Use]:
        return domain.use(family, secret, successor, client, desk.clock.now())

    used = await desk.accounts.use(family_id, decide)
    if used is None:
        raise Unauthenticated(NO_SUCH_TOKEN, Code.REFRESH_TOKEN_REFUSED)
    family, outcome = used
    if outcome is Use.REUSED:  # once: the login has ended by it
        await record.of(Action.TOKEN_REUSED, family.user_id, outcome=Outcome.REFUSED)
    if outcome is not Use.ROTATED:
        raise Unauthenticated(f"the refresh token is {outcome}: log in", Code.REFRESH_TOKEN_REFUSED)
    user = await present(desk, family.user_id, family.epoch)
    response.headers.update(NO_STORE)
    return new_session(desk, user, f"{family_id}.{successor}")


@router.post("/auth/logout", status_code=HTTPStatus.NO_CONTENT)
async def log_out(body: RefreshToken, desk: TheDesk) -> None:
    """End a login with any of its refresh tokens. The access token stays valid until it expires."""
    family_id, _, _ = body.refresh_token.partition(".")
    await desk.accounts.use(family_id, lambda family: (domain.revoke(family), Use.REVOKED))


@router.post(
    "/auth/logout-all",
    status_code=HTTPStatus.NO_CONTENT,
    responses=described([Code.ACCOUNT_GONE, Code.FORBIDDEN]),
)
async def log_out_everywhere(user: TheAccount, caller: Caller, desk: TheDesk, record: TheRecord) -> None:
    """End all logins of the account. Access tokens stay valid until they expire, but not at `/auth`."""
    if await desk.accounts.change(user.id, standing.ends_logins) is not None:
        await record.of(Action.LOGINS_ENDED, user.id, caller.actor)


@router.post(
    "/auth/password",
    responses=described(
        [
            Code.LOGIN_FAILED,
            Code.TOTP_REQUIRED,
            Code.TOTP_REFUSED,
            Code.ACCOUNT_GONE,
            Code.FORBIDDEN,
            Code.STATE_FORBIDS,
            Code.RATE_LIMITED,
            Code.OVERLOADED,
        ]
    ),
)
async def change_password(
    body: NewPassword, user: TheAccount, caller: Caller, desk: TheDesk, record: TheRecord, response: Response
) -> Session:
    """Change the password. This ends all logins and begins a new one.

    If the account has a second factor, this also needs its `code`.
    """
    new = acceptable(body.new_password, user)
    async with (
        record.refusals(Action.PASSWORD_CHANGED, user.id, caller.actor),
        guess_of_password(desk, user),
    ):
        await try_password(desk, user, body.current_password)
        if user.has_totp and body.code is None:  # before the hash, which takes its time
            raise Unauthenticated(CODE_NEEDED, Code.TOTP_REQUIRED)
        changed = partial(standing.with_password, password_hash=await desk.passwords.hash(new))
        stored = (
            await spend(desk, user, body.code, changed)
            if user.has_totp
            else await desk.accounts.replace(user, changed(user))
        )
    if stored is None:
        raise Refused("the account was changed at the same moment: try again")
    await record.of(Action.PASSWORD_CHANGED, user.id, caller.actor)
    response.headers.update(NO_STORE)
    return await begin(desk, stored)


@router.get("/auth/me", responses=described([Code.ACCOUNT_GONE, Code.FORBIDDEN]))
async def get_account(user: TheAccount) -> Account:
    """The account of the token."""
    return _account(user)


@router.get("/.well-known/jwks.json", responses={200: examples.KEYS_ANSWER})
async def get_keys(desk: TheDesk) -> Response:
    """The public keys that verify access tokens (RFC 7517)."""
    return Response(await desk.keys.published(), headers=KEYS_CACHE, media_type="application/json")


async def _guesser(desk: Desk, body: Credentials, user: User | None) -> str:
    """Whose wrong passwords are counted together: a known client's own, or those of everybody else."""
    family_id, _, secret = (body.refresh_token or "").partition(".")
    family = await desk.accounts.family(family_id) if secret and user is not None else None
    if family is not None and user is not None and domain.is_known(family, secret, user):
        return f"client:{family_id}"
    # Whether there is such an account or not, so that a delay does not tell.
    return f"account:{domain.digest(emails.normalize(body.email))}"


def _account(user: User) -> Account:
    return Account(
        user_id=user.id,
        email=user.mailbox,
        name=user.name,
        roles=list(user.roles),
        verified=user.verified,
        totp=user.has_totp,
    )
