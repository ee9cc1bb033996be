"""Queues, users and rights on the stack's own servers, made again when passwords or contract have changed.

What is known to be in place lets the services start together with the servers: that saves half of a start.
"""

import hashlib
import json
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from dev.credentials import Credentials
from dev.files import write_private
from dev.servers import Given, MongoDB, RabbitMQ
from sagactl import provision
from sagactl.provision import accounts, broker_rights
from services.shared import contract
from services.shared.contract.events import OPTIONAL


@dataclass(frozen=True)
class Provision:
    """What one server needs; the mark lies beside its data, and goes with it."""

    mark: Path
    contents: str
    make: Callable[[], Awaitable[None]]

    @property
    def is_made(self) -> bool:
        return self.mark.exists() and self.mark.read_text() == self.contents

    async def ensure(self) -> None:
        if not self.is_made:
            await self.make()
            write_private(self.mark, self.contents)


def provisions(
    mongodb: MongoDB | Given, rabbitmq: RabbitMQ | Given, credentials: Credentials, services: Sequence[str]
) -> Sequence[Provision]:
    """Servers that the user brings need none: they have the users that their URLs name.

    `services`: those that run.
    """
    absent = OPTIONAL.difference(services)
    contents, needed = _contents(credentials, absent), []
    if isinstance(mongodb, MongoDB):
        make = partial(accounts.provision_mongodb, mongodb.url, credentials.of(accounts.DATABASE_USERS))
        needed.append(Provision(mongodb.directory / "provisioned", contents, make))
    if isinstance(rabbitmq, RabbitMQ):
        users = credentials.of(broker_rights.BROKER_USERS)
        make = partial(accounts.provision_rabbitmq, rabbitmq.management_url, users, absent=absent)
        needed.append(Provision(rabbitmq.directory / "provisioned", contents, make))
    return needed


def _contents(credentials: Credentials, absent: Collection[str]) -> str:
    """Changes with everything that queues, users and rights are made from."""
    made_from = [dict(credentials.users), sorted(absent)]
    source = hashlib.sha256(json.dumps(made_from, sort_keys=True).encode())
    for package in (provision, contract):
        for file in sorted(Path(package.__path__[0]).rglob("*.py")):
            source.update(file.read_bytes())
    return source.hexdigest()
