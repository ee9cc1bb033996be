"""`sagactl replay` on the running shop: what its services decided is decided so again, the rest is told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from typer.testing import CliRunner, Result

from sagactl.cli import app
from sagactl.shop import Json
from services.shared.database.new_id import new_id
from tests.forms import document
from tests.integration.saga.shop import Shop


async def replayed(shop: Shop, *options: str) -> Result:
    environment = {"STACK_DIR": str(shop.stack.directory), "COLUMNS": "80"}
    return await asyncio.to_thread(lambda: CliRunner().invoke(app, ["replay", *options], env=environment))


async def test_what_the_services_decided_is_decided_so_again(shop: Shop) -> None:
    lamp = await shop.product(stock=3)
    paid = await shop.place({lamp: 1})
    declined = await shop.place({lamp: 1}, card="tok_declined")
    none_left = await shop.place({lamp: 9})
    await shop.settles(paid, "PAID")
    await shop.settles(declined, "CANCELLED")
    await shop.settles(none_left, "CANCELLED")
    headers = await shop.headers("alice")
    await shop.http.post(f"/api/orders/{paid}/refund", headers=headers, json={"reason": "broken"})
    await shop.settles(paid, "REFUNDED")
    result = await replayed(shop, "--limit", "3", "-o", "json")
    assert result.exit_code == 0, result.output
    told = document(result.stdout)
    assert told["items"] == []
    # Placed, reserved, paid, asked for, money back, stock back; then declined and given back; then refused.
    assert (told["histories"], told["steps"]) == (3, 6 + 4 + 2)
    for options in (("--sample", "2"), ("--since", "1h", "--limit", "2")):
        assert "2 histories" in (await replayed(shop, *options)).stdout
    assert "give --limit or --sample" in (await replayed(shop, "--sample", "2", "--limit", "2")).output


async def test_an_order_that_another_table_has_moved_is_told_with_its_step(shop: Shop) -> None:
    lamp = await shop.product(stock=3)
    order_id = await shop.place({lamp: 1})
    await shop.settles(order_id, "PAID")
    async with copied(shop, order_id, {"history.2.event": "PAYMENT_FAILED"}) as otherwise:
        result = await replayed(shop, "--limit", "1", "-o", "json")
        assert result.exit_code == 1, result.output
        (found,) = document(result.stdout)["items"]
        assert found["order"] == otherwise
        assert found["difference"]["step"] == 3
        assert found["difference"]["recorded"] == "CONFIRMED -> PAID"
        assert found["difference"]["decided"].startswith("CONFIRMED -> CANCELLED, publishes")
        shown = (await replayed(shop, "--limit", "1")).stdout
        assert f"{otherwise}, step 3: PAYMENT_FAILED" in shown
    async with copied(shop, order_id, {"status": "SHIPPED"}) as newer:
        shown = (await replayed(shop, "--limit", "1")).stdout
        assert f"{newer}: its document" in shown
        assert "cannot be read here" in shown


@asynccontextmanager
async def copied(shop: Shop, order_id: str, changes: Json) -> AsyncIterator[str]:
    """An order that is like another one, but for some of its document."""
    orders, id_ = shop.database("order")["orders"], new_id()
    document = await orders.find_one({"_id": order_id})
    assert document is not None
    await orders.insert_one({**document, "_id": id_})
    try:
        await orders.update_one({"_id": id_}, {"$set": changes})
        yield id_
    finally:
        await orders.delete_one({"_id": id_})
