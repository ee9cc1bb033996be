"""Second factors that an older key has sealed are sealed anew, so that it can go; what is left is counted."""

import asyncio
import logging
from functools import partial
from typing import Final

import msgspec
from prometheus_client import Gauge
from pymongo.errors import PyMongoError

from services.auth import totp
from services.auth.domain import User
from services.auth.queries import Accounts
from services.shared.sealing import CannotBeOpened, Seals

LOOK_SECONDS: Final = 10.0
OLDER: Final = Gauge(
    "sagashop_auth_secrets_of_older_keys",
    "Secrets of second factors that another key than the first of SECRETS_KEY has sealed",
)
log = logging.getLogger(__name__)


async def turn(accounts: Accounts, seals: Seals) -> int:
    """Return how many are left: those that no key opens. Raises PyMongoError."""
    left = 0
    async for user in accounts.sealed_otherwise(seals.newest):
        changed = await accounts.change(user.id, partial(anew, seals=seals))
        left += changed is not None and _is_older(changed.after, seals)
    OLDER.set(left)
    return left


async def run(accounts: Accounts, seals: Seals) -> None:
    told = 0
    while True:
        try:
            left = await turn(accounts, seals)
            if left != told:
                log.warning("no key of SECRETS_KEY opens the secrets of %d second factors", left)
                told = left
        except PyMongoError as error:
            log.warning("secrets of older keys could not be looked for: %s", error)
        await asyncio.sleep(LOOK_SECONDS)


def anew(user: User, seals: Seals) -> User:
    """With its secret sealed by the newest key, where it opens."""
    if user.totp is None or not _is_older(user, seals):
        return user
    try:
        secret = seals.open(user.totp.secret, totp.owner(user))
    except CannotBeOpened:  # `turn` counts it
        return user
    sealed = seals.seal(secret, totp.owner(user))
    return totp.with_spent(user, msgspec.structs.replace(user.totp, secret=sealed))


def _is_older(user: User, seals: Seals) -> bool:
    return user.totp is not None and not seals.is_newest(user.totp.secret)
