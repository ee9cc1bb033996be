"""Customers, a seller, and whoever sends the goods, all at the same time, through the gateway."""

import asyncio
import random
import time
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from http import HTTPStatus
from typing import Final

from bench.marketplace.criteria import Bought, Change, Line, Seen, Span
from sagactl.shop import Client, Json, ShopError
from services.shared.contract import money

# The shares of the original's driver, in percent.
SHARES: Final[Mapping[str, int]] = {
    "customer session": 30,
    "dashboard": 5,
    "price update": 3,
    "product replaced": 2,
    "delivery": 60,
}
AT_ONCE: Final = 48
PRODUCTS_IN_ORDER: Final = 10
PIECES_OF_PRODUCT: Final = 10
STOCK: Final = 10_000
CURRENCY: Final = "USD"
PRICES: Final = (100, 100_000)
SHOWN: Final = 100
# Each tenth card is declined, so that there is something to be undone.
DECLINED: Final = 0.1
# Of an order that cannot be sent yet, or any more.
NOT_TO_BE_SENT: Final = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT})
TRIES: Final = 20
# Of an order that names a product which was taken out.
UNKNOWN_PRODUCT: Final = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY})


@dataclass
class Market:
    """What everybody does, and what they saw. All randomness is `chance`'s, all time is `now`'s."""

    admin: Client
    customers: Sequence[Client]
    chance: random.Random
    now: Callable[[], float] = time.monotonic
    changes: list[Change] = field(default_factory=list)
    bought: list[Bought] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    # How often each of the transactions was made, and orders that were not taken.
    counts: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def __post_init__(self) -> None:
        self._offered: list[str] = []
        self._prices: dict[str, set[int]] = defaultdict(set)
        # One change of a product at a time: which price came after which would not be known.
        self._busy: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._to_ship: deque[str] = deque()
        self._to_deliver: deque[str] = deque()
        self._tries: dict[str, int] = defaultdict(int)

    async def open(self, products: int) -> None:
        for _ in range(products):
            await self._add()

    async def work(self, until: float) -> None:
        """Everybody, until that moment. Raises what a Client does."""
        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(self._one_by_one(until))

    async def _one_by_one(self, until: float) -> None:
        work: Mapping[str, Callable[[], Awaitable[None]]] = {
            "customer session": self._session,
            "dashboard": self._look,
            "price update": self._change_a_price,
            "product replaced": self._replace,
            "delivery": self._deliver,
        }
        names, shares = [*SHARES], [*SHARES.values()]
        while self.now() < until:
            [name] = self.chance.choices(names, shares)
            await work[name]()
            self.counts[name] += 1

    def _since(self, asked_at: float) -> Span:
        return Span(asked_at, self.now())

    # --- customers --------------------------------------------------------------------------------------

    async def _session(self) -> None:
        """Looks at some products, then orders them."""
        customer = self.chance.choice(self.customers)
        most = min(PRODUCTS_IN_ORDER, len(self._offered))
        chosen = self.chance.sample(self._offered, self.chance.randint(1, most))
        pieces = {product: self.chance.randint(1, PIECES_OF_PRODUCT) for product in chosen}
        card = "tok_declined" if self.chance.random() < DECLINED else "tok_success"
        try:
            for product in chosen:
                await customer.call("GET", f"/api/products/{product}")
            asked_at = self.now()
            order = await customer.place(pieces, card)
        except ShopError as error:
            is_gone = any(product not in self._offered for product in chosen)
            if error.status not in UNKNOWN_PRODUCT or not is_gone:
                raise
            self.counts["orders of products taken out, refused"] += 1
            return
        self.bought.append(Bought(order["orderId"], self._since(asked_at)))
        self._to_ship.append(order["orderId"])

    # --- the seller -------------------------------------------------------------------------------------

    async def _add(self) -> None:
        price = self.chance.randint(*PRICES)
        asked_at = self.now()
        product = await self.admin.add_product(STOCK, _written(price), CURRENCY)
        self._prices[product].add(price)
        self.changes.append(Change(product, price, self._since(asked_at)))
        self._offered.append(product)

    async def _change_a_price(self) -> None:
        product = self.chance.choice(self._offered)
        async with self._busy[product]:
            if product not in self._offered:
                return
            # One that it never had: by its price an order tells what it saw.
            price = self.chance.choice(_around(self._prices[product]))
            self._prices[product].add(price)
            asked_at = self.now()
            await self.admin.call("PATCH", f"/api/products/{product}", {"price": _written(price)})
            self.changes.append(Change(product, price, self._since(asked_at)))

    async def _replace(self) -> None:
        product = self.chance.choice(self._offered)
        async with self._busy[product]:
            if product not in self._offered:
                return
            self._offered.remove(product)
            asked_at = self.now()
            await self.admin.remove_product(product)
            self.changes.append(Change(product, None, self._since(asked_at)))
        await self._add()

    async def _look(self) -> None:
        """The newest orders, as the shop's staff see them."""
        asked_at = self.now()
        page = await self.admin.call("GET", f"/api/orders?limit={SHOWN}")
        shown_in = self._since(asked_at)
        self.seen += [_seen(order, shown_in) for order in page["items"]]

    # --- whoever sends the goods ------------------------------------------------------------------------

    async def _deliver(self) -> None:
        """The oldest that can be: says that it goes, or that it has arrived."""
        waiting, word = (
            (self._to_deliver, "deliver")
            if len(self._to_deliver) > len(self._to_ship)
            else (self._to_ship, "ship")
        )
        if not waiting:
            await asyncio.sleep(0.01)
            return
        order = waiting.popleft()
        try:
            await self.admin.call("POST", f"/api/fulfilments/{order}/{word}")
        except ShopError as error:
            if error.status not in NOT_TO_BE_SENT:
                raise
            self._tries[order] += 1
            if self._tries[order] < TRIES:  # it may be paid for by then
                waiting.append(order)
            return
        if word == "ship":
            self._to_deliver.append(order)


def _written(price: int) -> str:
    return str(money.to_decimal(price, CURRENCY))


def _around(had: set[int]) -> Sequence[int]:
    """Prices that differ from those before by a tenth at most."""
    middle = max(had)
    return [price for price in range(max(1, middle * 9 // 10), middle * 11 // 10 + 2) if price not in had]


def _seen(order: Json, span: Span) -> Seen:
    lines = [Line(each["productId"], each["quantity"], _minor(each["price"])) for each in order["products"]]
    return Seen(order["orderId"], order["status"], _minor(order["totalPrice"]), lines, span)


def _minor(amount: str) -> int:
    return money.to_minor(Decimal(amount), CURRENCY)
