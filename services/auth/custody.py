"""What administrators do with the signing keys: look at them, begin the next one, revoke one."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Response

from services.auth.bodies import KeyList, KeyState
from services.auth.desk import Present, TheDesk, TheRecord
from services.auth.rotation import SigningKey, Turn
from services.shared.contract.audit import Action
from services.shared.contract.decisions import NotFound
from services.shared.http.auth import User as Caller
from services.shared.http.bodies import Id
from services.shared.http.rights import Right
from services.shared.http.routing import Route

Keeper = Annotated[Caller, Depends(Present(Right.MANAGE_KEYS))]
router = APIRouter(prefix="/auth/keys", tags=["keys"], route_class=Route)


@router.get("")
async def list_signing_keys(_: Keeper, desk: TheDesk) -> KeyList:
    """List all signing keys, the oldest first, without their private parts."""
    return KeyList(items=[_state(key, turn) for key, turn in await desk.keys.turns()])


@router.post("", status_code=HTTPStatus.CREATED)
async def rotate_signing_keys(
    keeper: Keeper, desk: TheDesk, record: TheRecord, response: Response
) -> KeyState:
    """Create the next signing key, which signs after ten minutes; if there is one already, return it."""
    key = await desk.keys.rotate()
    await record.of(Action.KEY_ROTATED, key.id, keeper.actor)
    response.headers["Location"] = router.prefix
    turns = {each.id: turn for each, turn in await desk.keys.turns()}
    return _state(key, turns[key.id])


@router.post("/{key_id}/revoke", status_code=HTTPStatus.NO_CONTENT)
async def revoke_signing_key(key_id: Id, keeper: Keeper, desk: TheDesk, record: TheRecord) -> None:
    """Revoke a key that may be stolen. Clients with a token that it signed have to refresh the token."""
    if await desk.keys.revoke(key_id) is None:
        raise NotFound("there is no such signing key")
    await record.of(Action.KEY_REVOKED, key_id, keeper.actor)


def _state(key: SigningKey, turn: Turn) -> KeyState:
    return KeyState(
        key_id=key.id, kid=key.kid, turn=turn, created_at=key.created_at, revoked_at=key.revoked_at
    )
