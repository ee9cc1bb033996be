"""A shop that sends goods: the order lets them go, or it does not, whatever happens in the same instant."""

import asyncio

from dev.faults.crashes import CrashPoint
from sagactl.access import Access
from sagactl.oncall.invariants import Invariant
from sagactl.oncall.repair.applying import Mender, carry_out
from sagactl.oncall.repair.plan import Ends, SendAgain
from services.shared.contract.identity import HTTP, cause, event_id
from tests.integration.saga.growth import profiled, shard_keys_missing, wasteful
from tests.integration.saga.sending import BREAKS, Sending
from tests.integration.saga.test_saga_checker import report_on
from tests.integration.saga.test_saga_explain import explained, states
from tests.integration.saga.test_saga_live_check import (
    HASTY,
    LIVE,
    LONG,
    check,
    flowing,
    nothing_is_named_without,
)
from tests.integration.saga.test_saga_repair import planned


async def test_goods_are_sent_and_arrive_and_the_customer_is_told_of_both(sending: Sending) -> None:
    order_id = await sending.paid()
    parcel = {"carrier": "DHL", "tracking": "JD0146"}
    assert (await sending.says(order_id, "ship", parcel)).status_code == 202
    shipment = await sending.becomes(order_id, "SHIPPED")
    assert [line["quantity"] for line in shipment["products"]] == [2]
    assert await sending.shipped(order_id) == 2
    assert (await sending.says(order_id, "deliver")).status_code == 202
    await sending.is_told(order_id, "ORDER_DELIVERED")
    assert await sending.told(order_id) == ["ORDER_PAID", "ORDER_SHIPPED", "ORDER_DELIVERED"]
    assert (await sending.shop.events_of(order_id))[-1] == "SHIPMENT_REQUEST"


async def test_no_operation_about_shipments_reads_more_than_it_needs_or_asks_all_shards(
    sending: Sending,
) -> None:
    """As `test_saga_growth.py` shows it of the services that every shop has."""
    async with profiled(sending.shop, names=["fulfilment"]) as operations:
        order_id = await sending.paid()
        assert (await sending.says(order_id, "ship")).status_code == 202
        await sending.becomes(order_id, "SHIPPED")
        assert (await sending.says(order_id, "deliver")).status_code == 202
        await sending.is_told(order_id, "ORDER_DELIVERED")
        await sending.has_published()
    assert {"fulfilment.shipments", "fulfilment.outbox"} <= {each["ns"] for each in operations}
    assert not wasteful(operations)
    assert not shard_keys_missing(operations)


async def test_what_is_asked_back_before_is_not_sent(sending: Sending) -> None:
    order_id = await sending.paid(pieces=3)
    (line,) = (await sending.shop.order(order_id))["products"]
    async with sending.shop.frozen("payment"):  # the money is not back yet
        asked = await sending.refund(order_id, lines=[{"productId": line["productId"], "quantity": 1}])
        assert asked.status_code == 202
        assert (await sending.says(order_id, "ship")).status_code == 202
        shipment = await sending.becomes(order_id, "SHIPPED")
    assert [line["quantity"] for line in shipment["products"]] == [2]
    await sending.shop.settles(order_id, "PAID")
    assert await sending.shipped(order_id) == 2


async def test_nothing_is_sent_of_an_order_that_is_refunded(sending: Sending) -> None:
    order_id = await sending.paid()
    async with sending.shop.frozen("payment"):
        assert (await sending.refund(order_id)).status_code == 202
        assert (await sending.says(order_id, "ship")).status_code == 202
        shipment = await sending.becomes(order_id, "CANCELLED")
        assert shipment["refusal"] == "all of the order is refunded, or to be"
    await sending.shop.settles(order_id, "REFUNDED")
    assert (await sending.says(order_id, "ship")).status_code == 409
    assert await sending.shipped(order_id) == 0
    assert "ORDER_SHIPPED" not in await sending.told(order_id)


async def test_shipping_and_refund_in_the_same_instant(sending: Sending) -> None:
    """Either the goods stay, or they were sent first: the order and the shipment agree on which it was."""
    orders = await asyncio.gather(*(sending.paid() for _ in range(6)))
    both = [(sending.says(order_id, "ship"), sending.refund(order_id)) for order_id in orders]
    await asyncio.gather(
        *(each for number, pair in enumerate(both) for each in pair[:: 1 - 2 * (number % 2)])
    )
    for order_id in orders:
        await sending.shop.settles(order_id, "REFUNDED")
        shipment = await sending.becomes(order_id, "SHIPPED", "CANCELLED")
        sent = shipment["state"] == "SHIPPED"
        assert await sending.shipped(order_id) == (2 if sent else 0)
        if sent:
            await sending.is_told(order_id, "ORDER_SHIPPED")
        assert (await sending.told(order_id)).count("ORDER_SHIPPED") == sent


async def test_who_dies_between_question_and_answer_sends_once(sending: Sending) -> None:
    order_id = await sending.paid()
    async with sending.shop.frozen("order"):
        assert (await sending.says(order_id, "ship")).status_code == 202
        await sending.has_published()
        await sending.shop.stack.kill("fulfilment")
    # Asked once; the answer waits for whoever comes.
    await sending.shop.becomes(order_id, lambda order: order["products"][0]["shipped"] == 2)
    sending.shop.will_die("fulfilment", CrashPoint.BEFORE_ACK)
    sending.shop.stack.spawn("fulfilment")
    await sending.shop.death_of("fulfilment")
    await sending.shop.stack.start("fulfilment")
    await sending.becomes(order_id, "SHIPPED")
    await sending.is_told(order_id, "ORDER_SHIPPED")
    await sending.shop.drained()
    assert (await sending.told(order_id)).count("ORDER_SHIPPED") == 1
    assert (await sending.shop.events_of(order_id)).count("SHIPMENT_REQUEST") == 1


async def test_a_question_whose_queue_was_purged_is_named_and_asked_again_once(sending: Sending) -> None:
    """By its id; the plan that is carried out twice is as carried out once."""
    shop, order_id = sending.shop, await sending.paid()
    async with shop.away("order"):
        assert (await sending.says(order_id, "ship")).status_code == 202
        await sending.has_published()
        assert await shop.clear("order-events") == 1
    shipment = await shop.database("fulfilment")["shipments"].find_one({"_id": order_id})
    assert shipment is not None
    asked = event_id(cause(HTTP, shipment["commands"][0]["eventId"]), "SHIPMENT_REQUEST", 0)
    found = await planned(shop, order_id)
    (step,) = found.steps
    assert isinstance(step, SendAgain)
    assert (found.ends, step.queue, step.id) == (Ends.MENDED, "order-events", asked)
    told = await explained(shop, order_id, exits=1)
    assert (told["verdict"], told["missing"]) == ("stuck", [f"order-events/{asked}"])
    mender = Mender(Access.of_stack(shop.stack.directory), None, "the queue was purged by mistake")
    for _ in range(2):
        await carry_out(found, mender)
    await sending.becomes(order_id, "SHIPPED")
    await sending.is_told(order_id, "ORDER_SHIPPED")
    await shop.drained()
    assert (await sending.told(order_id)).count("ORDER_SHIPPED") == 1
    assert (await shop.events_of(order_id)).count("SHIPMENT_REQUEST") == 1
    told = await explained(shop, order_id, exits=0)
    assert {hop["state"] for hop in told["hops"]} == {"done"}
    assert "ORDER_PAID on fulfilment" in states(told)


async def test_goods_that_nobody_knows_of_are_not_sent(sending: Sending) -> None:
    headers = await sending.shop.headers("alice")
    for command in ("ship", "deliver"):
        assert (await sending.says("nobodys", command)).status_code == 409
        refused = await sending.shop.http.post(f"/api/fulfilments/nobodys/{command}", headers=headers)
        assert refused.status_code == 403


# --- what the checks say of goods -------------------------------------------------------------------------


async def test_each_fault_of_a_shipment_is_named_at_rest_and_at_work_and_nothing_else(
    sending: Sending,
) -> None:
    shop = sending.shop
    # Since the oldest that it knows it has heard of orders: that one stays.
    await sending.paid()
    orders = {name: await sending.paid() for name in BREAKS}
    await asyncio.sleep(LIVE.still.total_seconds() + 1)
    there = []
    try:
        for name, (service, collection, change, _) in BREAKS.items():
            documents, which = shop.database(service)[collection], {"_id": orders[name]}
            before = await documents.find_one(which)
            assert before is not None
            there.append((documents, before))
            await (documents.update_one(which, change) if change else documents.delete_one(which))
        at_rest, at_work = await report_on(shop), await check(shop)
    finally:
        for documents, before in there:
            await documents.replace_one({"_id": before["_id"]}, before, upsert=True)
    for report in (at_rest, at_work):
        assert {each.subject for each in report.findings} == set(orders.values()), report.findings
        for name, (_, _, _, what) in BREAKS.items():
            said = [each for each in report.of(Invariant.STOCK_OWNED) if each.subject == orders[name]]
            assert any(what in each.what and not each.waiting for each in said), (name, said)
    assert "shipment" in at_rest.counted[Invariant.STOCK_OWNED]
    assert at_rest.counted[Invariant.STOCK_OWNED] == at_work.counted[Invariant.STOCK_OWNED]


async def test_no_shipment_is_missed_while_orders_flow_and_services_die(sending: Sending) -> None:
    """What is paid and not yet known, asked and not yet answered: all of it is on its way."""
    shop, asked = sending.shop, await sending.paid()
    shop.patience = LONG

    async def ship() -> None:
        assert (await sending.says(asked, "ship")).status_code == 202

    async with flowing(shop) as placed:
        await nothing_is_named_without(shop, "fulfilment")
        await nothing_is_named_without(shop, "order", ship)
        await shop.lose_broker()
        assert not (await check(shop, live=HASTY)).findings
    await sending.becomes(asked, "SHIPPED")
    for order_id in placed[-4:]:
        await shop.becomes(order_id, lambda order: bool(order["settled"]))


async def test_a_shipment_that_is_gone_is_made_again_by_its_plan(sending: Sending) -> None:
    shop = sending.shop
    await sending.paid()
    order_id = await sending.paid()
    await shop.drained()
    await shop.database("fulfilment")["shipments"].delete_one({"_id": order_id})
    found = await planned(shop, order_id)
    (step,) = found.steps
    assert isinstance(step, SendAgain)
    assert (found.ends, step.queue, step.type) == (Ends.MENDED, "fulfilment", "ORDER_PAID")
    mender = Mender(Access.of_stack(shop.stack.directory), None, "fulfilment lost a row")
    for _ in range(2):
        await carry_out(found, mender)
    shipment = await sending.becomes(order_id, "READY")
    assert [line["quantity"] for line in shipment["products"]] == [2]
    assert (await planned(shop, order_id)).ends is Ends.SOUND
