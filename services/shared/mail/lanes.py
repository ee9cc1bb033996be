"""Who may use the mail server next: a domain that keeps it waiting holds up no other.

Where a mail to a domain takes too long, the next to it do not wait for it: they are put off, and come back
later. Once one was given up, the domain is tried by one mail at a time for a while.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from services.shared.contract.decisions import Deferred
from services.shared.waiting import happens

# What takes longer is not waited for by others to the same domain.
LONG_SECONDS: Final = 3.0
# So long a domain of which a mail was given up is suspected.
SUSPECTED_SECONDS: Final = 300.0
# Of those so many are remembered, the latest.
REMEMBERED: Final = 1000


class Hung(Deferred):
    """A mail was given up: the mail server said nothing about it."""


class _Lane:
    """The mails to one domain."""

    def __init__(self) -> None:
        # Since when (seconds of the loop's clock) each of those under way is, the oldest first.
        self.under_way: list[float] = []
        self.freed = asyncio.Event()
        # Under way, or waiting to be.
        self.users = 0


class Lanes:
    """`connections` in all, half of them for one domain at most."""

    def __init__(self, connections: int) -> None:
        self._connections, self._share = asyncio.Semaphore(connections), max(1, connections // 2)
        self._lanes: dict[str, _Lane] = {}
        # Domain -> until when (seconds of the loop's clock).
        self._suspected: OrderedDict[str, float] = OrderedDict()

    @asynccontextmanager
    async def turn(self, domain: str) -> AsyncIterator[None]:
        """A connection for a mail to this domain. Raises Deferred where others to it take too long.

        Where Hung comes out of it, the domain is suspected.
        """
        lane = self._lanes.setdefault(domain, _Lane())
        lane.users += 1
        try:
            await self._place(lane, domain)
            began = _now()
            lane.under_way.append(began)
            try:
                async with self._connections:
                    yield
            except Hung:
                self._suspect(domain)
                raise
            finally:
                lane.under_way.remove(began)
                lane.freed.set()
        finally:
            lane.users -= 1
            if not lane.users:
                del self._lanes[domain]

    async def _place(self, lane: _Lane, domain: str) -> None:
        """Until fewer are under way than may be."""
        while True:
            suspected = self._suspected.get(domain, 0.0) > _now()
            if len(lane.under_way) < (1 if suspected else self._share):
                return
            left = lane.under_way[0] + LONG_SECONDS - _now()
            if suspected or left <= 0:
                raise Deferred("mails to this domain take too long")
            lane.freed.clear()
            await happens(lane.freed, left)

    def _suspect(self, domain: str) -> None:
        self._suspected[domain] = _now() + SUSPECTED_SECONDS
        self._suspected.move_to_end(domain)
        if len(self._suspected) > REMEMBERED:
            self._suspected.popitem(last=False)


def _now() -> float:
    return asyncio.get_running_loop().time()
