"""What is measured: a shop that is up, whoever carries its orders out."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import NamedTuple, Protocol

from bench.load import Saga, Site
from bench.meter import Usage
from bench.peers.books import Books


class Shop(Protocol):
    """One shop, with products, customers, and nothing else to do."""

    @property
    def site(self) -> Site: ...

    def usage(self) -> Usage:
        """Of every process of the shop, servers included."""

    async def settled(self) -> int:
        """How many orders are final, their customers told, of all that ever were."""

    async def sagas(self, ids: Sequence[str]) -> list[Saga]:
        """Of these orders, by each order's own times."""

    async def books(self) -> Books: ...


class Entrant(NamedTuple):
    """Whose turn it is, again and again."""

    # In the table and in the file of figures, and by which it is asked for.
    key: str
    # A fresh shop in this directory, until the block ends.
    opened: Callable[[Path], AbstractAsyncContextManager[Shop]]
