"""When somebody leaves: all that is kept of an account, for its owner, and its end. For administrators."""

from datetime import datetime
from http import HTTPStatus
from typing import Final

from fastapi import APIRouter

from services.auth.bodies import AccountData, LetterData, LoginData
from services.auth.desk import TheDesk, TheRecord
from services.auth.domain import User, tokens_until
from services.auth.queries import Kept
from services.auth.staff import Manager, state
from services.shared.contract.audit import Action
from services.shared.contract.codes import Code
from services.shared.contract.decisions import NotFound, Refused
from services.shared.http.bodies import Id
from services.shared.http.described import described
from services.shared.http.routing import Route

NO_ACCOUNT: Final = "there is no such account"
router = APIRouter(prefix="/auth/accounts", tags=["accounts"], route_class=Route)


@router.get("/{user_id}/data")
async def get_account_data(user_id: Id, _: Manager, desk: TheDesk) -> AccountData:
    """Everything stored about an account. Secrets are stored as hashes, which are not shown."""
    user = await desk.accounts.user(user_id)
    if user is None:
        raise NotFound(NO_ACCOUNT)
    return _data(user, await desk.accounts.kept_of(user))


@router.delete("/{user_id}", status_code=HTTPStatus.NO_CONTENT, responses=described([Code.STATE_FORBIDS]))
async def erase_account(user_id: Id, manager: Manager, desk: TheDesk, record: TheRecord) -> None:
    """Erase a disabled account of a customer, once its access tokens have expired.

    Other services keep data about its orders: `sagactl customers erase` erases that, too.
    """
    user = await desk.accounts.user(user_id)
    if user is None:
        raise NotFound(NO_ACCOUNT)
    _check_over(user, tokens_until((await desk.accounts.kept_of(user)).families), desk.clock.now())
    if not await desk.accounts.erase(user):
        raise Refused("the account was changed at the same moment: try again")
    await record.of(Action.ACCOUNT_ERASED, user_id, manager.actor)


def _check_over(user: User, tokens: datetime | None, now: datetime) -> None:
    """Raise Refused where somebody may still act as this account."""
    if user.roles:
        raise Refused("the account has a role: take it first")
    if not user.disabled:
        raise Refused("the account is in use: disable it first")
    if tokens is not None and now < tokens:
        raise Refused(f"its access tokens are good until {tokens:%H:%M:%S} (UTC): try again after that")


def _data(user: User, kept: Kept) -> AccountData:
    return AccountData(
        **dict(state(user)),
        tokens_until=tokens_until(kept.families),
        recovery_codes_left=0 if user.totp is None else len(user.totp.recovery),
        logins=[LoginData.model_validate(family) for family in kept.families],
        letters=[LetterData.model_validate(letter) for letter in kept.letters],
    )
