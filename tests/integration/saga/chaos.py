"""What breaks in the shop, and how it is mended."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import quote

from dev.faults.crashes import CrashPoint
from sagactl.polling import until
from tests.integration.saga.house import PATIENCE, Visit

# What a setting is where no test says otherwise.
USUAL: Final = {"PARTIAL_REFUNDS": "true", "REFUND_WINDOW_SECONDS": "2592000"}


class Chaos(Visit):
    def replicas(self, service: str) -> list[str]:
        return [replica.name for replica in self.stack.replicas if replica.service == service]

    def will_die(self, service: str, point: CrashPoint) -> None:
        """The first replica that gets there kills itself."""
        self.house.crashes.arm(service, point)

    async def death_of(self, service: str) -> str:
        """The name of the replica that died."""
        dead: list[str] = []

        async def one_is_gone() -> bool:
            dead.extend(name for name in self.replicas(service) if name not in self.stack.processes)
            return bool(dead)

        await until(one_is_gone, within=PATIENCE, what=f"the death of a replica of {service}")
        return dead[0]

    async def heal(self) -> None:
        """Whatever a test left dead or frozen works again for the next."""
        self.house.crashes.disarm()
        names = ["mongodb", "rabbitmq", "redis", *(replica.name for replica in self.stack.replicas)]
        for name in names:
            if name in self.stack.processes:
                self.stack.resume(name)
            else:
                await self.stack.start(name)

    @asynccontextmanager
    async def frozen(self, service: str) -> AsyncIterator[None]:
        """All its replicas stand still meanwhile."""
        for name in self.replicas(service):
            self.stack.pause(name)
        try:
            yield
        finally:
            for name in self.replicas(service):
                self.stack.resume(name)

    @asynccontextmanager
    async def away(self, service: str) -> AsyncIterator[None]:
        """All its replicas are killed, and started again at the end."""
        for name in self.replicas(service):
            await self.stack.kill(name)
        try:
            yield
        finally:
            await asyncio.gather(*(self.stack.start(name) for name in self.replicas(service)))

    @asynccontextmanager
    async def configured(self, service: str, **settings: str) -> AsyncIterator[None]:
        """All its replicas run with these settings meanwhile, which are USUAL otherwise, or false."""
        before = {name: USUAL.get(name, "false") for name in settings}
        await asyncio.gather(*(self.stack.restart(name, settings) for name in self.replicas(service)))
        try:
            yield
        finally:
            await asyncio.gather(*(self.stack.restart(name, before) for name in self.replicas(service)))

    async def lose_broker(self) -> None:
        """All connections to it are closed at once, by an operator; they are made anew."""
        url = f"{self.stack.rabbitmq.management_url}/api/connections"
        for connection in (await self.http.get(url)).json():
            await self.http.delete(f"{url}/{quote(connection['name'], safe='')}")
