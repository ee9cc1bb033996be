"""What `sagactl status` calls wrong, what it does not, and what it cannot see."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from msgspec import structs
from rich.console import Console
from typer.testing import CliRunner

from sagactl.cli import app
from sagactl.exits import Exit
from sagactl.oncall.broker import Ready
from sagactl.oncall.depths import Depth, depths_of
from sagactl.oncall.status.command import screen
from sagactl.oncall.status.standing import (
    Backlog,
    Node,
    Part,
    Settling,
    Status,
    Unseen,
    depths,
    gaps,
    problems,
    said,
    settling,
    unbound,
)
from services.shared.contract.events import CONSUMES, EXCHANGE, PUBLISHES
from services.shared.contract.topology import Binding, bindings
from tests.forms import document

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
QUEUES = [queue for queues in CONSUMES.values() for queue in queues]
WELL = dict.fromkeys(QUEUES, (3, 2))


def wrong(found: dict[str, tuple[int, int]], **more: object) -> list[str]:
    return list(problems(Status(at=NOON, queues=tuple(depths(found)), **more)))  # type: ignore[arg-type]


def test_a_queue_of_what_a_shop_does_without_is_no_problem_while_nothing_is_in_it() -> None:
    def told(**fulfilment: tuple[int, int]) -> list[str]:
        return wrong({**WELL, "fulfilment": (0, 0), **fulfilment})

    assert told() == wrong({queue: each for queue, each in WELL.items() if queue != "fulfilment"}) == []
    assert told(fulfilment=(2, 0)) == ["nobody consumes fulfilment, where 2 wait: is fulfilment up?"]


def ago(seconds: float) -> datetime:
    return NOON - timedelta(seconds=seconds)


def test_a_shop_at_work_has_nothing_wrong() -> None:
    busy = {
        "outboxes": (Backlog("order", 40, ago(2), "row"),),
        "orders": (Backlog("PENDING", 12, ago(20), "order-1"),),
    }
    assert wrong(WELL | {"orders.retry.1": (4, 0)}, **busy) == []


def test_a_queue_without_a_consumer_and_one_that_is_not_there() -> None:
    assert wrong(WELL | {"orders": (7, 0)}) == ["nobody consumes orders, where 7 wait: is order up?"]
    there = {name: depth for name, depth in WELL.items() if name != "STOCK_RESERVED"}
    assert wrong(there) == ["the broker has no queue STOCK_RESERVED: payment has never declared it"]


def test_dead_letters_and_a_backlog() -> None:
    told = wrong(WELL | {"payment-events.dlq": (2, 0), "inventory": (5000, 2)})
    assert told == [
        "5000 messages wait in inventory: inventory cannot keep up",
        "dead letters of payment-events: 2. See sagactl letters list --queue payment-events",
    ]


def test_a_message_that_waits_though_its_consumer_is_there() -> None:
    assert list(problems(Status(at=NOON, queues=tuple(depths(WELL, {"orders": 20.0}))))) == []
    assert list(problems(Status(at=NOON, queues=tuple(depths(WELL, {"orders": 400.0}))))) == [
        "a message waits in orders for at least 6 min 40 s: order does not handle it"
    ]


SHORT = Node("rabbit@one", runs=True, short_of=("memory", "disk"))


def test_a_broker_that_takes_no_messages_is_told_before_anything_waits() -> None:
    short, stopped = wrong(
        WELL, nodes=(SHORT, Node("rabbit@two", runs=False), Node("rabbit@three", runs=True))
    )
    assert short == (
        "RabbitMQ takes no messages, as rabbit@one is short of memory and disk: orders are taken, and none "
        "goes on"
    )
    assert stopped == "node rabbit@two of RabbitMQ does not run"


def test_new_orders_that_are_refused_are_wrong_though_all_that_were_taken_are_quick() -> None:
    assert wrong(WELL, shed=0) == wrong(WELL, shed=None) == []
    told = "refused in the last 30 s: more come than can be served, or a server is slow"
    assert wrong(WELL, shed=1) == [f"1 new order {told}"]
    assert wrong(WELL, shed=412) == [f"412 new orders {told}"]


def without(*gone: Binding, found: Mapping[str, tuple[int, int]] = WELL) -> list[str]:
    """What is wrong of a shop whose broker lacks these bindings."""
    there = frozenset(bindings()) - set(gone)
    missing = unbound(depths(found), there)
    return list(problems(Status(at=NOON, queues=(), unbound=tuple(missing))))


def test_a_queue_that_an_event_does_not_come_to_any_more_is_wrong() -> None:
    """Others take it, so that the broker returns it to nobody."""
    assert without() == []
    gone = [Binding(EXCHANGE, "notifications", type_) for type_ in ("ORDER_PAID", "ORDER_CANCELLED")]
    (told,) = without(*gone)
    assert told == (
        "notifications is not bound to ORDER_PAID, ORDER_CANCELLED: what of that is published now is lost to "
        "notification, until it has bound its queue again. Is it up? See sagactl check --live"
    )


def test_an_event_that_no_queue_takes_waits_in_its_outbox() -> None:
    (told,) = without(Binding(EXCHANGE, "inventory", "INVENTORY_RESERVE_REQUEST"))
    assert told == (
        "inventory is not bound to INVENTORY_RESERVE_REQUEST: that waits in outboxes until inventory has "
        "bound its queue again. Is it up?"
    )


def test_a_queue_through_which_nothing_is_tried_again_is_wrong() -> None:
    assert without(Binding("payment.retry", "payment-events.dlq", "payment-events.dlq")) == [
        "payment-events.dlq is not bound to payment.retry, through which payment retries: is payment up?"
    ]


def test_what_does_not_come_to_a_service_that_the_shop_does_without_is_not_missed() -> None:
    gone = [Binding(EXCHANGE, "fulfilment", type_) for type_ in ("ORDER_PAID", "ORDER_REFUNDED")]
    assert without(*gone, found=WELL | {"fulfilment": (0, 0)}) == []
    assert without(*gone, found=WELL | {"fulfilment": (2, 0)}) == []
    (told,) = without(*gone, found=WELL | {"fulfilment": (0, 1)})
    assert told.startswith("fulfilment is not bound to ORDER_PAID, ORDER_REFUNDED: what of that")


def test_of_a_queue_that_is_not_there_it_is_not_said_that_it_is_not_bound() -> None:
    there = {name: each for name, each in WELL.items() if name != "notifications"}
    assert without(Binding(EXCHANGE, "notifications", "ORDER_PAID"), found=there) == []


def test_an_outbox_that_does_not_drain_and_an_order_that_is_open_for_too_long() -> None:
    (outbox,) = wrong(WELL, outboxes=(Backlog("payment", 3, ago(200), "row"),))
    assert "payment does not get its events out: 3 in its outbox, the oldest for 3 min 20 s" in outbox
    (order,) = wrong(WELL, orders=(Backlog("CONFIRMED", 1, ago(301), "order-1"),))
    assert order == "an order has been CONFIRMED for 5 min 1 s. See sagactl explain order-1"
    assert wrong(WELL, marked=2) == [
        "orders that contradict what happened: 2. See sagactl orders list --marked"
    ]
    assert wrong(WELL, refused=1) == [
        "orders whose refund the payment gateway refuses: 1. See sagactl payments list"
    ]


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (59, "59 s"), (60, "1 min"), (3723, "1 h 2 min"), (200_000, "2 d 7 h")]
)
def test_an_age_is_said_in_two_units(seconds: int, text: str) -> None:
    assert said(timedelta(seconds=seconds)) == text


NO_BROKER = Unseen(Part.QUEUES, None, "the management API does not answer", Exit.UNREACHED)


def test_a_broker_that_has_just_started_is_believed_what_it_knows() -> None:
    """It tells at once what is ready and who consumes, and gathers all else within seconds."""
    ready = {"orders": Ready(4, 2), "orders.dlq": Ready(0, 0)}
    found = depths_of([{"name": "orders"}, {"name": "orders.dlq"}], ready)
    assert found == {"orders": Depth(4, 2, None), "orders.dlq": Depth(0, 0, None)}
    assert [each.known for each in found.values()] == [4, 0]
    # Whoever would call a message lost is told that one may be there.
    assert [each.number for each in found.values()] == [4, 1]


def test_what_a_consumer_holds_is_counted_and_statistics_that_are_late_hide_nothing() -> None:
    listed = [{"name": "orders", "messages": 7}, {"name": "inventory", "messages": 0}]
    found = depths_of(listed, {"orders": Ready(2, 1), "inventory": Ready(3, 1)})
    assert [(each.known, each.number) for each in found.values()] == [(7, 7), (3, 3)]


def test_what_is_wrong_is_certain_whatever_else_cannot_be_seen() -> None:
    fine = Status(at=NOON, queues=tuple(depths(WELL)))
    assert fine.code == Exit.FINE
    blind = structs.replace(fine, queues=None, unseen=(NO_BROKER,))
    assert blind.code == Exit.UNREACHED
    refused = Unseen(Part.MARKED, None, "MongoDB refuses", Exit.NOT_ALLOWED)
    assert structs.replace(blind, unseen=(refused,)).code == Exit.NOT_ALLOWED
    assert structs.replace(blind, unseen=(refused, NO_BROKER)).code == Exit.UNREACHED
    assert structs.replace(blind, problems=("an order has been PENDING for 1 h",)).code == Exit.BAD


def test_how_long_orders_take_is_told_by_those_that_are_not_at_their_end_too() -> None:
    quick = [timedelta(milliseconds=each) for each in range(1, 20)]
    assert settling([]) is None
    assert settling(quick[:1]) == Settling(1, 0.001, late=0)
    assert settling([*quick, timedelta(seconds=9)]) == Settling(20, 0.019, late=0)
    assert settling([timedelta(seconds=11), *quick]) == Settling(20, 0.019, late=1)
    assert settling([None, *quick]) == Settling(20, 0.019, late=1)
    # One of twenty may take long; two of them are more than five of a hundred.
    assert settling([None, None, *quick]) == Settling(21, None, late=2)


def test_the_screen_says_how_long_orders_take() -> None:
    def told(found: Settling | None) -> str:
        console = Console(file=StringIO(), width=120)
        for each in screen(Status(at=NOON, queues=None, settling=found)):
            console.print(each)
        return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]  # it is a StringIO

    some = told(Settling(200, 0.214, late=3))
    assert "settled       95 of 100 within 0.214 s, 3 later than 10 s, of the latest 200 orders" in some
    assert "settled       95 of 100 not yet, 1 later than 10 s, of the latest 1 order" in told(
        Settling(1, None, late=1)
    )
    assert "settled" not in told(None)


def test_parts_that_are_unseen_for_one_reason_share_a_sentence() -> None:
    outboxes = [Unseen(Part.OUTBOXES, name, "MongoDB does not answer", 4) for name in ("order", "payment")]
    assert list(gaps([NO_BROKER, *outboxes])) == [
        "queues cannot be seen: the management API does not answer",
        "outboxes of order, outboxes of payment cannot be seen: MongoDB does not answer",
    ]


def test_without_a_broker_the_screen_shows_the_rest() -> None:
    """And no queue is said to be missing."""
    found = Status(
        at=NOON,
        queues=None,
        orders=(Backlog("PENDING", 12, ago(20), "order-1"),),
        unseen=(NO_BROKER, Unseen(Part.OUTBOXES, "payment", "MongoDB refuses", Exit.NOT_ALLOWED)),
    )
    assert list(problems(found)) == []
    out = StringIO()
    console = Console(file=out, width=80)
    for part in screen(found):
        console.print(part, soft_wrap=True)
    assert out.getvalue().splitlines() == [
        "? queues cannot be seen: the management API does not answer",
        "? outboxes of payment cannot be seen: MongoDB refuses",
        "Nothing that can be seen is wrong.",
        "open orders   PENDING 12 (20 s)",
        "outboxes      payment unseen",
    ]


def test_without_any_server_each_part_is_named_in_a_document_by_the_schema(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nobody = "127.0.0.1:9"
    monkeypatch.setattr("sagactl.oncall.stores.ANSWERS_WITHIN_MS", 50)
    where = {"MONGODB_URL": f"mongodb://{nobody}", "AMQP_URL": f"amqp://{nobody}"}
    where["MANAGEMENT_URL"] = f"http://{nobody}"
    result = CliRunner().invoke(app, ["status", "-o", "json"], env=where)
    assert result.exit_code == Exit.UNREACHED
    told = document(result.stdout)
    assert {(each["part"], each["service"]) for each in told["unseen"]} == {
        *((part, None) for part in Part if part is not Part.OUTBOXES),
        *(("outboxes", service) for service in PUBLISHES),
    }
    assert (told["queues"], told["problems"]) == (None, [])
    for each in told["unseen"]:
        assert "Timeout:" not in each["why"]
    assert "MONGODB_URL" in result.stderr
