"""What administrators do with accounts: look at them, give and take roles, disable, end logins."""

from functools import partial
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Query

from services.auth import standing, totp
from services.auth.bodies import AccountChange, AccountList, AccountState, Email
from services.auth.desk import Present, TheDesk, TheRecord
from services.auth.domain import User
from services.shared.contract.audit import Action
from services.shared.contract.codes import Code
from services.shared.contract.decisions import NotFound, Refused
from services.shared.http.auth import User as Caller
from services.shared.http.bodies import Id
from services.shared.http.described import described
from services.shared.http.rights import Right
from services.shared.http.routing import Route

Manager = Annotated[Caller, Depends(Present(Right.MANAGE_ACCOUNTS))]
router = APIRouter(prefix="/auth/accounts", tags=["accounts"], route_class=Route)


@router.get("")
async def list_accounts(
    _: Manager,
    desk: TheDesk,
    email: Annotated[Email | None, Query(description="Only the account with this address")] = None,
) -> AccountList:
    """List the accounts that have a role, or the account with a given address."""
    if email is None:
        return AccountList(items=[state(user) for user in await desk.accounts.staff()])
    user = await desk.accounts.user_of(email)
    return AccountList(items=[] if user is None else [state(user)])


@router.patch("/{user_id}", responses=described([Code.STATE_FORBIDS]))
async def change_account(
    user_id: Id, body: AccountChange, manager: Manager, desk: TheDesk, record: TheRecord
) -> AccountState:
    """Disable or enable an account, or set its roles. Disabling it or removing a role ends its logins."""
    if user_id == manager.id:
        raise Refused("this is your own account: another administrator has to change it")
    changed = await desk.accounts.change(user_id, partial(_changed, body=body))
    if changed is None:
        raise NotFound("there is no such account")
    if changed.after != changed.before:
        await record.of(Action.ACCOUNT_CHANGED, user_id, manager.actor, detail=_detail(body))
    return state(changed.after)


@router.post("/{user_id}/logout", status_code=HTTPStatus.NO_CONTENT)
async def log_out_account(user_id: Id, manager: Manager, desk: TheDesk, record: TheRecord) -> None:
    """End all logins of an account. Its access tokens stay valid until they expire, but not at `/auth`."""
    if await desk.accounts.change(user_id, standing.ends_logins) is None:
        raise NotFound("there is no such account")
    await record.of(Action.LOGINS_ENDED, user_id, manager.actor)


@router.delete(
    "/{user_id}/totp", status_code=HTTPStatus.NO_CONTENT, responses=described([Code.STATE_FORBIDS])
)
async def reset_totp(user_id: Id, manager: Manager, desk: TheDesk, record: TheRecord) -> None:
    """Remove the second factor of an account whose owner has lost it, and end its logins."""
    if user_id == manager.id:
        raise Refused("this is your own account: take the second factor from it with its code")
    changed = await desk.accounts.change(user_id, totp.ended)
    if changed is None:
        raise NotFound("there is no such account")
    if changed.after != changed.before:
        await record.of(Action.SECOND_FACTOR_ENDED, user_id, manager.actor)


def _changed(user: User, body: AccountChange) -> User:
    if body.roles is not None:
        user = standing.with_roles(user, body.roles)
    if body.disabled is not None:
        user = standing.disabled(user) if body.disabled else standing.enabled(user)
    return user


def _detail(body: AccountChange) -> str:
    said = []
    if body.roles is not None:
        said.append(f"roles: {', '.join(sorted(body.roles)) or 'none'}")
    if body.disabled is not None:
        said.append("disabled" if body.disabled else "enabled")
    return "; ".join(said)


def state(user: User) -> AccountState:
    return AccountState(
        user_id=user.id,
        email=user.mailbox,
        name=user.name,
        roles=list(user.roles),
        verified=user.verified,
        totp=user.has_totp,
        disabled=user.disabled,
        created_at=user.created_at,
    )
