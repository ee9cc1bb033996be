"""What a letter to the address of an account proves: that it is theirs, and who may set a password.

No answer tells whether there is an account: what is asked for by an address is answered alike and takes as
long for any.
"""

import math
import uuid
from http import HTTPStatus
from typing import Final

from fastapi import APIRouter, Response

from services.auth import letters, standing
from services.auth.bodies import Address, MailToken, PasswordByMail
from services.auth.desk import Desk, TheDesk, TheRecord, acceptable
from services.auth.domain import User, digest
from services.auth.guesses import LETTERS
from services.auth.letters import Kind, Letter
from services.auth.record import actor
from services.shared import emails
from services.shared.contract.audit import Action
from services.shared.contract.codes import Code
from services.shared.http.dependencies import LANGUAGE, Language
from services.shared.http.described import described
from services.shared.http.problems import Problem
from services.shared.http.routing import Route

REFUSED: Final = "the token is unknown, has expired, or was used: ask for another letter"
router = APIRouter(prefix="/auth", tags=["by mail"], route_class=Route)


@router.post("/verify", status_code=HTTPStatus.NO_CONTENT, responses=described([Code.MAIL_TOKEN_REFUSED]))
async def verify_email(body: MailToken, desk: TheDesk, record: TheRecord) -> None:
    """Verify the address of an account with the token of a letter."""
    letter, user = await _opened(desk, Kind.VERIFY, body.token)
    await _use_up(desk, letter)
    changed = await desk.accounts.change(user.id, standing.verified)
    if changed is not None and changed.after != changed.before:
        await record.of(Action.EMAIL_VERIFIED, user.id, actor(user))


@router.post(
    "/verify/resend",
    status_code=HTTPStatus.ACCEPTED,
    response_class=Response,
    responses=described([Code.RATE_LIMITED]),
    openapi_extra={"parameters": [LANGUAGE]},
)
async def resend_verification(body: Address, desk: TheDesk, locale: Language) -> Response:
    """Request another verification letter. The answer is the same for any address."""
    return await _asked(desk, Kind.VERIFY, body.email, locale)


@router.post(
    "/reset",
    status_code=HTTPStatus.ACCEPTED,
    response_class=Response,
    responses=described([Code.RATE_LIMITED]),
    openapi_extra={"parameters": [LANGUAGE]},
)
async def ask_for_reset(body: Address, desk: TheDesk, locale: Language) -> Response:
    """Request a letter to replace a forgotten password. The answer is the same for any address."""
    return await _asked(desk, Kind.RESET, body.email, locale)


@router.post(
    "/reset/confirm",
    status_code=HTTPStatus.NO_CONTENT,
    responses=described([Code.MAIL_TOKEN_REFUSED, Code.OVERLOADED]),
)
async def reset_password(body: PasswordByMail, desk: TheDesk, record: TheRecord) -> None:
    """Set a new password with the token of a letter. This ends all logins.

    This removes a second factor if the address was not verified before and the account has no role.
    """
    letter, user = await _opened(desk, Kind.RESET, body.token)
    new = acceptable(body.new_password, user)
    hashed = await desk.passwords.hash(new)
    await _use_up(desk, letter)

    def changed(current: User) -> User:
        if current.epoch != user.epoch or current.disabled:
            raise Problem(Code.MAIL_TOKEN_REFUSED, REFUSED)
        return standing.reset_by_letter(current, hashed)

    done = await desk.accounts.change(user.id, changed)
    if done is None:
        raise Problem(Code.MAIL_TOKEN_REFUSED, REFUSED)
    await record.of(Action.PASSWORD_RESET, user.id)
    if done.before.has_totp and not done.after.has_totp:
        await record.of(Action.SECOND_FACTOR_ENDED, user.id)


async def owe(desk: Desk, kind: Kind, user: User | None, locale: str | None) -> None:
    """Store the letter that is due: who sends letters finds it, and by `letter_added` at once."""
    letter = letters.owed(str(uuid.uuid4()), kind, user, locale, desk.clock.now())
    await desk.accounts.add_letter(letter)


async def _asked(desk: Desk, kind: Kind, email: str, locale: str | None) -> Response:
    now = desk.clock.now()
    left = await desk.accounts.count_guess(f"{kind}:{digest(emails.normalize(email))}", now, LETTERS)
    if left:
        seconds = math.ceil(left.total_seconds())
        raise Problem(
            Code.RATE_LIMITED,
            f"letters to this address were asked for already: try again in {seconds} s",
            {"Retry-After": str(seconds)},
        )
    await owe(desk, kind, await desk.accounts.user_of(email), locale)
    desk.letter_added.set()
    return Response(status_code=HTTPStatus.ACCEPTED)


async def _opened(desk: Desk, kind: Kind, token: str) -> tuple[Letter, User]:
    """The letter of a token and its account. Raise Problem where the token does nothing (any more)."""
    letter_id, _, secret = token.partition(".")
    letter = await desk.accounts.letter(letter_id)
    user = await desk.accounts.user(letter.user_id) if letter is not None else None
    if (
        letter is None
        or user is None
        or not desk.seals.is_proof(secret, letter.sealed_as)
        or not letters.opens(letter, kind, user, desk.clock.now())
    ):
        raise Problem(Code.MAIL_TOKEN_REFUSED, REFUSED)
    return letter, user


async def _use_up(desk: Desk, letter: Letter) -> None:
    """Of several who present a token at once, one goes on."""
    if not await desk.accounts.remove_letter(letter):
        raise Problem(Code.MAIL_TOKEN_REFUSED, REFUSED)
