"""`sagactl repair` on the running shop: what was lost is mended, recorded, and once is as good as twice."""

from datetime import timedelta
from pathlib import Path

import pytest

from sagactl.access import Access, OrderAccess
from sagactl.oncall.repair.applying import Mender, carry_out, mended
from sagactl.oncall.repair.looking import plans
from sagactl.oncall.repair.plan import Compensate, Ends, Plan, SendAgain
from sagactl.polling import until
from sagactl.shop import Json
from tests.forms import document
from tests.integration.saga.commands import from_a_toolbox, sagactl
from tests.integration.saga.house import PATIENCE
from tests.integration.saga.shop import Shop
from tests.integration.saga.test_saga_explain import is_waiting, reserve_request

# Shorter than on call, and longer than the statistics of these stacks' brokers are late.
STILL = timedelta(seconds=3)
WHY = "the queue was purged by mistake"


async def planned(shop: Shop, order_id: str) -> Plan:
    """Once nobody has touched the order for a while."""

    async def look() -> Plan:
        (found,) = await plans(Access.of_stack(shop.stack.directory), [order_id], STILL)
        return found

    return await until(
        look, lambda found: found.ends is not Ends.MOVING, within=PATIENCE, what="it stands still"
    )


async def lost_request(shop: Shop, product: str) -> str:
    """An order whose first message is lost."""
    async with shop.away("inventory"):
        order_id = await shop.place({product: 1})
        await until(lambda: is_waiting(shop, "inventory"), within=PATIENCE, what="in the queue")
        assert await shop.clear("inventory") == 1
    return order_id


async def recorded(shop: Shop, order_id: str) -> list[Json]:
    """What the trail says of its repair."""
    told = (
        await sagactl(shop, "audit", "--subject", order_id, "--action", "order.repaired", "-o", "json")
    ).stdout
    entries: list[Json] = document(told)["items"]
    return entries


async def test_a_plan_that_is_carried_out_twice_is_as_carried_out_once(shop: Shop) -> None:
    product = await shop.product(stock=5)
    order_id = await lost_request(shop, product)
    found = await planned(shop, order_id)
    (step,) = found.steps
    assert isinstance(step, SendAgain)
    assert (found.ends, step.id) == (Ends.MENDED, reserve_request(order_id))
    access = Access.of_stack(shop.stack.directory)
    mender = Mender(access, None, WHY)
    for _ in range(2):
        await carry_out(found, mender)
    await shop.settles(order_id, "PAID")
    await shop.stock_becomes(product, (4, 0, 1))
    await shop.drained()
    assert (await shop.ledger(order_id)) == {"captured": 1}
    assert [each.ends for each in await mended(access, [order_id])] == [Ends.SOUND]
    assert await shop.events_of(order_id) == ["ORDER_CREATED", "INVENTORY_RESERVED", "PAYMENT_SUCCEEDED"]
    assert [each["reason"] for each in await recorded(shop, order_id)] == [WHY, WHY]


async def lost_charge(shop: Shop, product: str) -> str:
    """An order whose charge nobody was asked for."""
    async with shop.away("payment"):
        order_id = await shop.place({product: 2})
        await shop.is_at(order_id, "CONFIRMED")
        assert await shop.take("STOCK_RESERVED")
    return order_id


async def test_a_lost_charge_is_not_made_anew_and_its_order_is_compensated(shop: Shop) -> None:
    product = await shop.product(stock=5)
    order_id = await lost_charge(shop, product)
    found = await planned(shop, order_id)
    (step,) = found.steps
    assert isinstance(step, Compensate)
    stack = shop.stack.directory
    mender = Mender(Access.of_stack(stack), OrderAccess.of_stack(stack), WHY)
    for _ in range(2):
        await carry_out(found, mender)
    await shop.settles(order_id, "CANCELLED")
    await shop.stock_becomes(product, (5, 0, 0))
    assert await shop.ledger(order_id) == {}


async def test_the_command_plans_and_does_nothing_before_it_is_told_to(shop: Shop) -> None:
    product = await shop.product(stock=5)
    orders = [await lost_request(shop, product) for _ in range(2)]
    for order_id in orders:
        assert (await planned(shop, order_id)).ends is Ends.MENDED
    repair = ("repair", *orders, "--still", "3")
    shown = await sagactl(shop, *repair, columns=80)
    assert shown.exit_code == 3, shown.output
    for order_id in orders:
        assert f"send again INVENTORY_RESERVE_REQUEST inventory/{reserve_request(order_id)}" in shown.stdout
    assert "leads to  PENDING -> PAID, and all books agree" in shown.stdout
    assert (await sagactl(shop, *repair, "--apply")).exit_code == 2
    nobody_to_ask = await sagactl(shop, *repair, "--apply", "--reason", WHY, columns=80)
    assert nobody_to_ask.exit_code == 2, nobody_to_ask.output
    assert [await recorded(shop, order_id) for order_id in orders] == [[], []]
    early = await mended(Access.of_stack(shop.stack.directory), orders, within=0)
    assert sorted(each.order for each in early) == sorted(orders)
    assert Ends.SOUND not in {each.ends for each in early}
    done = await sagactl(shop, *repair, "--apply", "--reason", WHY, "--yes", "-o", "json")
    assert done.exit_code == 0, done.output
    plans_after = document(done.stdout)["plans"]
    assert {each["order"]: each["ends"] for each in plans_after} == dict.fromkeys(orders, "sound")
    for order_id in orders:
        await shop.settles(order_id, "PAID")
        (entry,) = await recorded(shop, order_id)
        assert entry["reason"] == WHY
        assert reserve_request(order_id) in entry["detail"]


async def test_who_may_not_compensate_sends_the_messages_all_the_same(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    product = await shop.product(stock=5)
    charge, request = await lost_charge(shop, product), await lost_request(shop, product)
    for order_id in (charge, request):
        assert (await planned(shop, order_id)).ends is Ends.MENDED
    repair = ("repair", "--still", "3", "--apply", "--reason", WHY, "--yes", "-o", "json")
    refused = await from_a_toolbox(shop, *repair, charge)
    assert refused.exit_code == 2, refused.output
    assert "ORDER_URL" in refused.output
    done = await from_a_toolbox(shop, *repair, charge, request)
    assert done.exit_code == 3, done.output
    assert "1 order to compensate" in done.stderr
    ends = {each["order"]: each["ends"] for each in document(done.stdout)["plans"]}
    assert ends == {charge: "mended", request: "sound"}
    await shop.settles(request, "PAID")
    assert await recorded(shop, charge) == []
    done = await sagactl(shop, *repair, charge)
    assert done.exit_code == 0, done.output
    await shop.settles(charge, "CANCELLED")


async def test_what_no_message_cures_is_named_and_left_alone(shop: Shop) -> None:
    product = await shop.product(stock=5)
    order_id = await shop.place({product: 2})
    await shop.settles(order_id, "PAID")
    await shop.stock_becomes(product, (3, 0, 2))
    await shop.drained()
    reservations = shop.database("inventory")["reservations"]
    before = await reservations.find_one_and_delete({"_id": order_id})
    assert before is not None
    try:
        found = await planned(shop, order_id)
    finally:
        await reservations.insert_one(before)
    assert (found.ends, found.steps) == (Ends.BY_HAND, ())
    assert any("sold: nothing" in what for what in found.findings)
    assert (await planned(shop, order_id)).ends is Ends.SOUND
