"""Do the books balance? From outside by the shop's own answers, from inside by sagactl's checker."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping

from sagactl.shop import Client, Json
from tests.e2e.release import Release

KEPT = {"CAPTURED"}
NOT_KEPT = {"DECLINED", "VOIDED", "REFUNDED", None}


async def balance(admin: Client, orders: Mapping[str, Json], initial: Mapping[str, int]) -> Counter[str]:
    """Wait until all orders have settled, compare them with stock and payments; count them by status."""
    limit = asyncio.Semaphore(16)

    async def settle(name: str) -> tuple[Json, Json | None]:
        async with limit:
            return await admin.settled(name, within=240), await admin.payment(name)

    ended = await asyncio.gather(*map(settle, orders))
    sold: Counter[str] = Counter()
    for order, payment in ended:
        state = payment["status"] if payment else None
        assert order["status"] in {"PAID", "CANCELLED", "REFUNDED"}, order
        assert state in (KEPT if order["status"] == "PAID" else NOT_KEPT), (order, payment)
        if order["status"] == "PAID":
            assert payment is not None
            assert payment["amount"] == order["totalPrice"]
            for line in order["products"]:
                sold[line["productId"]] += line["quantity"] if line["state"] == "SOLD" else 0
    for product, stock in initial.items():
        await admin.stock_becomes(product, (stock - sold[product], 0, sold[product]))
    return Counter(order["status"] for order, _ in ended)


async def check(release: Release, accepted: Iterable[str] = ()) -> str:
    """Run the checker inside of the cluster; it exits 1, and so this raises, where an invariant is broken."""
    command = ("python", "-m", "sagactl", "check", "--wait", "120", "--accepted", "/dev/stdin")
    return await release.tool(*command, stdin="\n".join(accepted))


async def check_live(release: Release, accepted: Iterable[str]) -> str:
    """Run the checker while the shop is used, as `helm test` does; raise as `check`."""
    command = ("sagactl", "check", "--live", "--since", "15m", "--overdue", "3m", "--accepted", "/dev/stdin")
    return await release.tool(*command, stdin="\n".join(accepted))
