"""`sagactl explain` on the running shop: what is lost or dead is named by its id, what only waits is not."""

import shlex

from sagactl.polling import until
from sagactl.shop import Json
from services.shared.contract.identity import HTTP, cause, event_id
from tests.forms import document
from tests.integration.saga.commands import sagactl
from tests.integration.saga.house import PATIENCE
from tests.integration.saga.shop import Shop


async def explained(shop: Shop, order_id: str, *, exits: int) -> Json:
    result = await sagactl(shop, "explain", order_id, "-o", "json")
    assert result.exit_code == exits, result.output
    told: Json = document(result.stdout)
    return told


def states(told: Json) -> dict[str, str]:
    return {f"{hop['type']} on {hop['queue']}": hop["state"] for hop in told["hops"]}


def reserve_request(order_id: str) -> str:
    """The id of the first message of an order."""
    return event_id(cause(HTTP, order_id), "INVENTORY_RESERVE_REQUEST", 0)


async def is_waiting(shop: Shop, queue: str) -> bool:
    """Whether one message is there, and confirmed: its outbox row is gone."""
    async with shop.broker() as channel:
        found = await channel.declare_queue(queue, passive=True)
    there = found.declaration_result.message_count == 1
    return there and not await shop.database("order")["outbox"].count_documents({})


async def test_an_order_that_was_paid_is_settled_and_all_its_messages_are_done(shop: Shop) -> None:
    lamp = await shop.product(stock=5)
    order_id = await shop.place({lamp: 1})
    await shop.settles(order_id, "PAID")
    told = await explained(shop, order_id, exits=0)
    assert told["verdict"] == "settled"
    assert set(states(told).values()) == {"done"}
    assert len(told["hops"]) == 6
    shown = (await sagactl(shop, "explain", order_id, columns=80)).stdout
    assert all(len(line) <= 80 for line in shown.splitlines())
    assert "the order is paid: ask for a refund instead" in shown


async def test_while_a_service_is_down_its_message_is_on_its_way_and_not_missing(shop: Shop) -> None:
    lamp = await shop.product(stock=5)
    async with shop.away("inventory"):
        order_id = await shop.place({lamp: 1})
        await until(lambda: is_waiting(shop, "inventory"), within=PATIENCE, what="in the queue")
        told = await explained(shop, order_id, exits=3)
        assert states(told) == {"INVENTORY_RESERVE_REQUEST on inventory": "onItsWay"}
        assert [each["event"] for each in told["next"]] == ["INVENTORY_RESERVED", "INVENTORY_RESERVE_FAILED"]
    await shop.settles(order_id, "PAID")
    await explained(shop, order_id, exits=0)


async def test_a_message_whose_queue_was_purged_is_missing_by_its_id(shop: Shop) -> None:
    """Its order is compensated then, and nobody misses it any more."""
    lamp = await shop.product(stock=5)
    async with shop.away("inventory"):
        order_id = await shop.place({lamp: 1})
        await until(lambda: is_waiting(shop, "inventory"), within=PATIENCE, what="in the queue")
        assert await shop.clear("inventory") == 1

    async def is_stuck() -> bool:
        """Until then the broker's statistics still count what was purged: it may be on its way."""
        told: Json = document((await sagactl(shop, "explain", order_id, "-o", "json")).stdout)
        return bool(told["verdict"] == "stuck")

    await until(is_stuck, within=PATIENCE, what="seen to be missing")
    told = await explained(shop, order_id, exits=1)
    assert told["verdict"] == "stuck"
    assert told["missing"] == [f"inventory/{reserve_request(order_id)}"]
    assert await shop.compensate(order_id, status="PENDING") == "compensated"
    await shop.settles(order_id, "CANCELLED")
    await shop.money_is_back(order_id)
    told = await explained(shop, order_id, exits=0)
    assert told["missing"] == [f"inventory/{reserve_request(order_id)}"]


async def test_a_dead_letter_is_told_with_its_reason_and_what_is_advised_cures_it(shop: Shop) -> None:
    lamp = await shop.product(stock=5)
    async with shop.away("payment"):
        order_id = await shop.place({lamp: 1})
        await shop.is_at(order_id, "CONFIRMED")
        (charge,) = await shop.take("STOCK_RESERVED")
        why = {"x-error": "no such column", "x-error-kind": "failed", "x-attempts": 4}
        await shop.publish(
            "STOCK_RESERVED.dlq", charge.body, message_id=charge.message_id, headers=charge.headers | why
        )
        told = await explained(shop, order_id, exits=1)
    (dead,) = (hop for hop in told["hops"] if hop["state"] == "deadLetter")
    assert (dead["id"], dead["reason"]) == (charge.message_id, "failed: no such column")
    assert dead["redrive"]["outcome"] == "asksTheGateway"
    assert told["deadline"] is not None
    (advice,) = told["advice"]
    program, *command = shlex.split(advice["command"])
    assert program == "sagactl"
    assert "1 dead letter redriven" in (await sagactl(shop, *command, columns=80)).stdout
    await shop.settles(order_id, "PAID")
    assert states(await explained(shop, order_id, exits=0))["ORDER_CONFIRMED on STOCK_RESERVED"] == "done"


async def test_an_order_that_nobody_knows_is_said_to_be_unknown(shop: Shop) -> None:
    told = await explained(shop, "nowhere", exits=1)
    assert told["verdict"] == "unknown"


async def test_status_tells_of_a_service_that_is_down_and_of_nothing_once_it_is_back(shop: Shop) -> None:
    lamp = await shop.product(stock=5)
    async with shop.away("inventory"):
        order_id = await shop.place({lamp: 1})
        await until(lambda: is_waiting(shop, "inventory"), within=PATIENCE, what="in the queue")

        async def is_told() -> bool:
            told = (await sagactl(shop, "status", columns=80)).stdout
            return "nobody consumes inventory, where 1 wait: is inventory up?" in told

        await until(is_told, within=PATIENCE, what="told")
        told = document((await sagactl(shop, "status", "-o", "json")).stdout)
        assert {each["of"]: each["number"] for each in told["orders"]} == {"PENDING": 1}
        assert told["orders"][0]["oldest"] == order_id
    await shop.settles(order_id, "PAID")
    await shop.drained()
    told = document((await sagactl(shop, "status", "-o", "json")).stdout)
    assert (told["orders"], told["outboxes"]) == ([], [])
    assert not [problem for problem in told["problems"] if "inventory," in problem]


async def test_an_order_is_found_by_whatever_a_person_has_of_it(shop: Shop) -> None:
    lamp = await shop.product(stock=5)
    order_id = await shop.place({lamp: 1}, who="finder")
    await shop.settles(order_id, "PAID")
    stored = await shop.database("order")["orders"].find_one({"_id": order_id})
    assert stored is not None
    event, transaction = stored["history"][-1]["eventId"], stored["capture"]["transactionId"]
    for text in (order_id, stored["email"], stored["customerId"], event, transaction, lamp):
        result = await sagactl(shop, "find", text, "-o", "json")
        assert result.exit_code == 0, result.output
        hits = document(result.stdout)["items"]
        assert f"sagactl explain {order_id}" in {hit["command"] for hit in hits}, text
    assert "5 available" not in (await sagactl(shop, "find", lamp, columns=80)).stdout
    assert (await sagactl(shop, "find", "nothing-of-ours")).exit_code == 1
