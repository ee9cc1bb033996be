"""The second factor of the caller's own account: an authenticator app, and recovery codes beside it."""

import secrets
from http import HTTPStatus
from typing import Final

import pyotp
from fastapi import APIRouter, Response

from services.auth import totp
from services.auth.bodies import PasswordProof, Session, TotpCode, TotpProof, TotpSecret
from services.auth.desk import (
    NO_STORE,
    TheAccount,
    TheDesk,
    TheRecord,
    begin,
    guess_of_code,
    guess_of_password,
    secret_of,
    spend,
    try_password,
)
from services.auth.guessing import WrongGuess
from services.shared.contract.audit import Action
from services.shared.contract.codes import Code
from services.shared.contract.decisions import Refused
from services.shared.http.dependencies import Caller
from services.shared.http.described import described
from services.shared.http.routing import Route

ON: Final = "the account has a second factor already: end it first, with its code"
OFF: Final = "the account has no second factor"
NOT_BEGUN: Final = "nothing is to be confirmed: begin with POST /auth/totp/enrol"
CHANGED: Final = "the account was changed at the same moment: try again"
GUESSES: Final = (Code.LOGIN_FAILED, Code.ACCOUNT_GONE, Code.FORBIDDEN, Code.STATE_FORBIDS, Code.RATE_LIMITED)
router = APIRouter(prefix="/auth/totp", tags=["second factor"], route_class=Route)


@router.post("/enrol", responses=described([*GUESSES, Code.OVERLOADED]))
async def enrol_totp(
    body: PasswordProof,
    user: TheAccount,
    caller: Caller,
    desk: TheDesk,
    record: TheRecord,
    response: Response,
) -> TotpSecret:
    """Get a secret for an authenticator app, and recovery codes. They count once a code is confirmed."""
    if user.has_totp:
        raise Refused(ON)
    async with (
        record.refusals(Action.SECOND_FACTOR_BEGUN, user.id, caller.actor),
        guess_of_password(desk, user),
    ):
        await try_password(desk, user, body.current_password)
    secret = pyotp.random_base32()
    codes = [totp.recovery_code(secrets.token_bytes(totp.RECOVERY_BYTES)) for _ in range(totp.RECOVERY_CODES)]
    begun = totp.begun(user, desk.seals.seal(secret.encode(), totp.owner(user)), codes)
    if await desk.accounts.replace(user, begun) is None:
        raise Refused(CHANGED)
    response.headers.update(NO_STORE)
    return TotpSecret(
        otpauth_uri=totp.uri(secret, user.mailbox, desk.settings.jwt_issuer), recovery_codes=codes
    )


@router.post("/confirm", responses=described([*GUESSES, Code.TOTP_REFUSED]))
async def confirm_totp(
    body: TotpCode, user: TheAccount, caller: Caller, desk: TheDesk, record: TheRecord, response: Response
) -> Session:
    """Confirm a code of the app. After that, logins need one. This ends all logins and begins a new one."""
    if user.has_totp:
        raise Refused(ON)
    if user.totp is None:
        raise Refused(NOT_BEGUN)
    secret = secret_of(desk, user, user.totp)
    async with (
        record.refusals(Action.SECOND_FACTOR_BEGUN, user.id, caller.actor),
        guess_of_code(desk, user),
    ):
        spent = totp.with_code(user.totp, secret, body.code, desk.clock.now())
        if spent is None:
            raise WrongGuess("the code is wrong: is the clock of the device right?", Code.TOTP_REFUSED)
    stored = await desk.accounts.replace(user, totp.confirmed(user, spent))
    if stored is None:
        raise Refused(CHANGED)
    await record.of(Action.SECOND_FACTOR_BEGUN, user.id, caller.actor)
    response.headers.update(NO_STORE)
    return await begin(desk, stored)


@router.post(
    "/disable",
    status_code=HTTPStatus.NO_CONTENT,
    responses=described([*GUESSES, Code.TOTP_REFUSED, Code.OVERLOADED]),
)
async def disable_totp(
    body: TotpProof, user: TheAccount, caller: Caller, desk: TheDesk, record: TheRecord
) -> None:
    """Remove the second factor, with the password and a code. This ends all logins."""
    if not user.has_totp:
        raise Refused(OFF)
    async with (
        record.refusals(Action.SECOND_FACTOR_ENDED, user.id, caller.actor),
        guess_of_password(desk, user),
    ):
        await try_password(desk, user, body.current_password)
        await spend(desk, user, body.code, totp.ended)
    await record.of(Action.SECOND_FACTOR_ENDED, user.id, caller.actor)
