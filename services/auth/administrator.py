"""The administrator whom the settings name: made at the start, and followed when they name another."""

import logging
import uuid
from contextlib import suppress
from functools import partial

import msgspec

from services.auth import standing
from services.auth.desk import Desk
from services.auth.domain import User
from services.auth.queries import EmailTaken
from services.auth.record import Record
from services.shared import emails
from services.shared.contract.audit import Action
from services.shared.http.rights import Role

log = logging.getLogger(__name__)


async def seed(desk: Desk) -> None:
    """Make the administrator of the settings, and take the role from the one whom they named before.

    An account of that address gets the role and the password. Settings that name nobody change nothing.
    """
    email, secret = desk.settings.admin_email, desk.settings.admin_password
    if email is None or secret is None:
        return
    try:
        await _appoint(desk, email, secret.get_secret_value())
    except msgspec.ValidationError as error:
        # Of a newer release. Nobody else is to be kept out by it.
        log.error("the administrator's account cannot be read: %s", error)  # noqa: TRY400  # no bug
    for former in await desk.accounts.seeded():
        if former.email != emails.normalize(email):
            await desk.accounts.change(former.id, partial(standing.with_roles, roles=()))
            await _record(desk).of(Action.ACCOUNT_CHANGED, former.id, detail="roles: none")


def _record(desk: Desk) -> Record:
    return Record(desk.trail, desk.clock)


async def _appoint(desk: Desk, email: str, password: str) -> None:
    existing = await desk.accounts.user_of(email)
    if existing is None:
        await _make(desk, email, password)
        return
    check = await desk.passwords.check(password, existing.password_hash)
    if check.is_right and Role.ADMIN in existing.roles:
        await desk.accounts.change(existing.id, standing.named_by_settings)
        return
    hashed = await desk.passwords.hash(password)
    await desk.accounts.change(existing.id, partial(standing.appointed, password_hash=hashed))
    await _record(desk).of(Action.ACCOUNT_CHANGED, existing.id, detail="roles: admin, and the password")


async def _make(desk: Desk, email: str, password: str) -> None:
    user = User(
        id=str(uuid.uuid4()),
        email=emails.normalize(email),
        address=email,
        name="Administrator",
        password_hash=await desk.passwords.hash(password),
        roles=(Role.ADMIN.value,),
        created_at=desk.clock.now(),
        seeded=True,
    )
    with suppress(EmailTaken):  # another replica was first, with the same password
        await desk.accounts.add(user)
        await _record(desk).of(Action.REGISTERED, user.id, detail="roles: admin")
