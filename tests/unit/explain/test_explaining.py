"""What an explanation says of one order, at the turns of its life."""

from collections import Counter
from datetime import timedelta

import msgspec
import pytest
from msgspec import structs

from sagactl.oncall.explain.explaining import explain
from sagactl.oncall.explain.explanation import Book, Explanation, HopState, Outcome, Preview, Verdict
from sagactl.oncall.explain.hops import UNREAD
from sagactl.oncall.explain.marks import CONSUMER, Letter, Marks, Unsent
from sagactl.oncall.explain.preview import of_letter
from sagactl.oncall.explain.screen import WIDTH, lines
from sagactl.oncall.explain.table import EMITS
from sagactl.oncall.invariants import Case, Held
from sagactl.oncall.repair.plan import Ends
from sagactl.oncall.repair.planning import plan
from services.fulfilment.shipment import Said, Shipment
from services.inventory.reservation import Reservation
from services.notification.domain import Notification, NotificationState
from services.order.commands import CancelOrder, RequestRefund
from services.order.histories import QUEUE_OF
from services.order.model import HistoryEntry, Order, RefundLine, Restocking
from services.order.saga import SAGA
from services.payment.payment import Payment, PaymentState
from services.shared.contract.identity import REMEMBERED
from services.shared.contract.table import Step
from services.shared.database.store import Unreadable
from tests.forms import document
from tests.unit.explain.desk import NOW, ORDER, Desk

LONG = timedelta(minutes=1)


def states(told: Explanation) -> dict[str, HopState]:
    return {f"{hop.type} on {hop.queue}": hop.state for hop in told.hops}


def test_an_order_that_was_just_placed_moves_and_one_that_was_so_a_while_ago_waits() -> None:
    desk, waiting = Desk(), {"inventory": 3}
    assert explain(desk.marks(waiting=waiting)).verdict is Verdict.MOVING
    told = explain(desk.marks(waiting=waiting, after=LONG))
    assert told.verdict is Verdict.WAITING
    assert (
        told.because == "INVENTORY_RESERVE_REQUEST is on its way to inventory: may be one of 3 in inventory"
    )
    assert [each.event for each in told.next] == ["INVENTORY_RESERVED", "INVENTORY_RESERVE_FAILED"]
    assert told.advice[0].command == "kubectl get pods -l app.kubernetes.io/name=inventory"
    told = explain(desk.marks(waiting=waiting, after=LONG, is_local=True))
    assert told.advice[0].command == ".venv/bin/python -m dev status"


def test_what_waits_to_be_tried_again_says_within_how_long() -> None:
    told = explain(Desk().marks(waiting={"inventory.retry.3": 1}))
    assert told.hops[0].reason == "may be the one in inventory.retry.3, tried again within 60 s"


def test_what_is_in_no_place_is_missing_unless_the_order_moved_meanwhile() -> None:
    desk = Desk()
    (lost,) = desk.published
    assert explain(desk.marks()).missing == (f"inventory/{lost.id}",)
    assert explain(
        desk.marks(waiting={"orders": 7, "inventory.dlq": 1}, letters_read={"inventory": 1})
    ).missing
    assert explain(desk.marks(moving=True)).missing == ()


def test_what_may_be_a_dead_letter_that_somebody_else_looks_at_is_not_called_missing() -> None:
    told = explain(Desk().marks(waiting={"inventory.dlq": 3}, letters_read={"inventory": 1}))
    assert told.missing == ()
    assert told.hops[0].reason == "may be one of 2 dead letters of inventory that could not be read"


def test_what_is_in_an_outbox_is_there_on_all_its_queues() -> None:
    desk = Desk()
    for queue in ("inventory", "orders", "STOCK_RESERVED", "order-events"):
        desk.hear(queue)
    event = desk.published[-1]
    told = explain(desk.marks(after=LONG, unsent=(Unsent(event.id, event.type, "order", NOW),)))
    assert told.verdict is Verdict.WAITING
    assert {hop.queue for hop in told.hops if hop.state is HopState.IN_OUTBOX} == {
        "inventory-events",
        "notifications",
    }


def test_a_dead_letter_is_told_with_its_reason_and_what_redriving_would_do() -> None:
    desk = Desk()
    for queue in ("inventory", "orders"):
        desk.hear(queue)
    told = explain(desk.marks(letters=(desk.letter("STOCK_RESERVED"),)))
    assert told.verdict is Verdict.STUCK
    assert told.because == "ORDER_CONFIRMED is a dead letter of STOCK_RESERVED: failed: no such column"
    (dead,) = (hop for hop in told.hops if hop.state is HopState.DEAD_LETTER)
    assert dead.redrive is not None
    assert dead.redrive.says == "would ask the payment gateway for the charge order-1:capture"
    assert told.advice[0].command == f"sagactl letters redrive STOCK_RESERVED --id {dead.id}"
    assert told.deadline is not None
    assert told.deadline.at == NOW + timedelta(minutes=5)


DISCARDED = "discarded by sagactl ann at 2026-01-01 12:00:00 UTC: of another system"


def put_away(desk: Desk, queue: str) -> Letter:
    return desk.letter(queue)._replace(reason=DISCARDED)


def test_a_message_that_was_discarded_is_told_as_such_and_how_it_is_taken_back() -> None:
    """Not as missing: nobody lost it. Until it is restored, or the order compensated, nothing goes on."""
    desk = Desk().heard("inventory", "orders")
    letter = put_away(desk, "STOCK_RESERVED")
    told = explain(desk.marks(discarded=(letter,), waiting={"STOCK_RESERVED": 3}))
    assert (told.verdict, told.missing) == (Verdict.STUCK, ())
    assert told.because == f"ORDER_CONFIRMED was {DISCARDED}"
    (hop,) = (hop for hop in told.hops if hop.state is HopState.DISCARDED)
    assert (hop.id, hop.reason) == (letter.id, DISCARDED)
    restore = f"sagactl letters restore STOCK_RESERVED {letter.id}"
    assert restore in [each.command for each in told.advice]
    screen = "\n".join(lines(told))
    assert "DISCARDED  ORDER_CONFIRMED" in screen
    assert "restored and redriven: would ask the payment gateway" in screen
    assert "repair" not in " ".join(filter(None, (each.command for each in told.advice)))


def test_what_was_restored_is_a_dead_letter_whoever_discarded_it_before() -> None:
    desk = Desk().heard("inventory", "orders")
    dead, kept = desk.letter("STOCK_RESERVED"), put_away(desk, "STOCK_RESERVED")
    assert (
        states(explain(desk.marks(letters=(dead,), discarded=(kept,))))["ORDER_CONFIRMED on STOCK_RESERVED"]
        is HopState.DEAD_LETTER
    )


def test_nobody_misses_what_was_discarded_where_the_books_agree_without_it() -> None:
    """It is named all the same."""
    desk = Desk().heard("inventory", "orders")
    letter = put_away(desk, "STOCK_RESERVED")
    desk.command(CancelOrder(order_id=ORDER, customer_id=None))
    desk.heard("payment-events", "inventory", "orders", "notifications")
    told = explain(desk.marks(discarded=(letter,)))
    assert (told.verdict, told.advice, told.next) == (Verdict.SETTLED, (), ())
    assert told.because == "the order is CANCELLED, and no message is missed but what somebody discarded"
    assert states(told)["ORDER_CONFIRMED on STOCK_RESERVED"] is HopState.DISCARDED


@pytest.mark.parametrize("queue", ["inventory-events", "notifications"])
def test_what_was_discarded_and_shows_in_the_books_is_missed(queue: str) -> None:
    desk = Desk().heard("inventory", "orders", "STOCK_RESERVED", "order-events")
    desk.heard(*{"inventory-events", "notifications"} - {queue})
    told = explain(desk.marks(discarded=(put_away(desk, queue),)))
    assert (told.verdict, told.because) == (Verdict.STUCK, f"ORDER_PAID was {DISCARDED}")


def test_what_others_sent_and_somebody_discarded_holds_up_nothing() -> None:
    """It says that it is about the order; nothing follows from it."""
    desk = Desk()
    theirs = put_away(desk, "inventory")._replace(id="theirs", queue="orders", body=b"nonsense")
    told = explain(desk.marks(discarded=(theirs,), waiting={"inventory": 1}))
    assert told.verdict is Verdict.MOVING
    assert told.hops[-1].state is HopState.DISCARDED
    assert [each.command for each in told.advice if each.command and "letters" in each.command] == []


def test_a_copy_that_was_discarded_of_what_was_handled_is_no_trouble() -> None:
    desk = Desk().paid()
    told = explain(desk.marks(discarded=(put_away(desk, "order-events"),)))
    assert (told.verdict, told.because) == (Verdict.SETTLED, "the order is PAID, and no message is missed")


def test_a_dead_letter_that_was_handled_all_the_same_is_no_trouble() -> None:
    desk = Desk().paid()
    told = explain(desk.marks(letters=(desk.letter("order-events"),)))
    assert told.verdict is Verdict.SETTLED
    assert "PAYMENT_SUCCEEDED on order-events" in states(told)


def test_a_dead_letter_of_somebody_else_is_shown_and_is_not_redriven_blindly() -> None:
    desk = Desk().paid()
    letter = desk.letter("orders")._replace(id="theirs", body=b"nonsense", reason="invalid: malformed")
    told = explain(desk.marks(letters=(letter,)))
    assert told.verdict is Verdict.STUCK
    assert told.hops[-1].redrive is not None
    assert told.hops[-1].redrive.outcome is Outcome.FAILS
    assert told.advice[0].command == "sagactl letters show orders theirs"


@pytest.mark.parametrize("seen", [(), tuple(bytes([n]) for n in range(REMEMBERED))], ids=["none", "full"])
def test_what_nobody_remembers_is_never_called_missing(seen: tuple[bytes, ...]) -> None:
    desk = Desk()
    for queue in ("inventory", "orders", "STOCK_RESERVED"):
        desk.hear(queue)
    desk.change(Payment, seen=seen)
    desk.change(Reservation, seen=seen)
    desk.published.clear()
    desk.change(Order, seen=(), history=desk.one(Order).history[:1])  # nobody knows what was answered
    told = explain(desk.marks())
    assert states(told)["INVENTORY_RESERVE_REQUEST on inventory"] is HopState.CANNOT_BE_TOLD
    assert told.missing == ()


def test_what_was_answered_was_handled_whoever_has_forgotten_it() -> None:
    desk = Desk()
    for queue in ("inventory", "orders", "STOCK_RESERVED"):
        desk.hear(queue)
    desk.change(Reservation, seen=())
    told = explain(desk.marks())
    assert states(told)["INVENTORY_RESERVE_REQUEST on inventory"] is HopState.DONE
    (lost,) = told.missing
    assert lost == f"order-events/{desk.published[-1].id}"


def test_a_charge_whose_answer_is_not_known_is_missing_only_with_its_message() -> None:
    """Payment has stored that it asks; the message that made it ask waits, or is gone."""
    desk = Desk()
    for queue in ("inventory", "orders", "STOCK_RESERVED"):
        desk.hear(queue)
    desk.change(Payment, state=PaymentState.CAPTURING, seen=())
    assert explain(desk.marks(waiting={"STOCK_RESERVED.retry.2": 1})).missing == ()
    (lost,) = explain(desk.marks()).missing
    assert lost.startswith("STOCK_RESERVED/")


def test_a_payment_that_is_decided_on_later_is_waited_for_and_followed_to_its_end() -> None:
    desk = Desk()
    desk.later = True
    desk.heard("inventory", "orders", "STOCK_RESERVED", "order-events")
    told = explain(desk.marks())
    assert (told.verdict, told.missing) == (Verdict.WAITING, ())
    assert told.because == "the payment gateway decides later: it is asked again at 2026-01-01 12:00:05 UTC"
    assert told.advice == ()
    assert [each.event for each in told.next] == ["PAYMENT_SUCCEEDED", "PAYMENT_FAILED"]
    assert told.deadline is not None
    assert told.deadline.at == desk.now + timedelta(minutes=35)
    desk.ask_again()
    lost = explain(desk.marks())
    assert lost.missing == (f"order-events/{desk.published[-1].id}",)
    desk.heard("order-events", "inventory-events", "notifications")
    assert explain(desk.marks()).because == "the order is PAID, and no message is missed"


def test_a_charge_that_is_called_off_says_what_it_waits_for() -> None:
    desk = Desk()
    desk.later = True
    desk.heard("inventory", "orders", "STOCK_RESERVED")
    desk.change(Payment, state=PaymentState.VOIDING)
    assert explain(desk.marks(waiting={"payment-events": 1})).books[2].state == "VOIDING"


def test_what_the_table_forbids_is_told_in_its_own_words() -> None:
    told = explain(Desk().paid().marks())
    assert {action.name: (action.allowed, action.says) for action in told.actions} == {
        "cancel": (False, "the order is paid: ask for a refund instead"),
        "refund": (True, "PAID -> REFUNDING (of some pieces: stays PAID)"),
        "compensate": (False, "the order is paid"),
    }
    assert told.actions[1].emits == ("ORDER_REFUND_REQUEST", "PAYMENT_REFUND")
    assert told.next == ()


def test_a_refund_is_followed_to_its_end() -> None:
    desk = Desk().paid()
    desk.command(RequestRefund(order_id=ORDER, customer_id=None, reason="broken", refund_request_id="all"))
    told = explain(desk.marks(waiting={"payment-events": 1}))
    assert [each.event for each in told.next] == ["PAYMENT_REFUNDED", "PAYMENT_REFUND_FAILED"]
    assert told.next[0].effects == (
        "stays REFUNDING, emits INVENTORY_RELEASE_REQUEST",
        "REFUNDING -> REFUNDED, emits ORDER_REFUNDED",
        "stays REFUNDING, emits ORDER_PARTIALLY_REFUNDED",
    )
    assert told.next[1].effects == ("stays REFUNDING",)
    for queue in ("notifications", "payment-events", "order-events", "inventory", "orders", "notifications"):
        desk.hear(queue)
    assert explain(desk.marks()).because == "the order is REFUNDED, and no message is missed"


def test_a_refund_of_a_part_is_told_with_its_amount_and_the_last_piece_has_no_part() -> None:
    desk = Desk().paid()
    command = RequestRefund(
        order_id=ORDER,
        customer_id=None,
        reason="broken",
        refund_request_id="some",
        lines=(RefundLine("lamp", 1),),
    )
    desk.command(command)
    desk.heard("notifications", "payment-events", "order-events", "inventory", "orders", "notifications")
    told = explain(desk.marks())
    assert told.books[1] == Book("refund", "DONE", ("10.00 USD", "some"))
    assert [book.notes for book in told.books if book.service == "gateway"] == [
        ("20.00 USD",),
        ("10.00 USD",),
    ]
    assert told.actions[1].says == "PAID -> REFUNDING"


def test_every_message_has_a_time_when_it_was_handled_or_else_when_it_was_sent() -> None:
    desk = Desk().paid()
    told = explain(desk.marks())
    assert all(hop.at or hop.sent_at for hop in told.hops)
    unseen = [hop.type for hop in told.hops if hop.at is None]
    assert unseen == ["INVENTORY_RESERVE_REQUEST", "ORDER_CONFIRMED", "ORDER_PAID"]
    text = list(lines(told))
    assert sum(line.endswith("sent 12:00:00") for line in text) == len(unseen)
    assert max(map(len, text)) <= WIDTH


def test_refunds_side_by_side_and_refused_are_followed_to_their_ends() -> None:
    """No message of any of them is from nowhere, and none is missed."""
    desk = Desk().paid()
    one = RefundLine("lamp", 1)
    some = RequestRefund(
        order_id=ORDER, customer_id=None, reason="broken", refund_request_id="some", lines=(one,)
    )
    desk.command(some)
    desk.hear("notifications")
    desk.refuses = True
    for queue in ("payment-events", "order-events"):
        desk.hear(queue)
    desk.ask_again()
    desk.hear("order-events")
    desk.refuses = False
    desk.ask_again()
    for queue in ("order-events", "inventory", "orders", "notifications"):
        desk.hear(queue)
    rest = structs.replace(
        some, refund_request_id="rest", lines=(structs.replace(one, restock=Restocking.NONE),)
    )
    desk.command(rest, "command-2")
    for queue in ("notifications", "payment-events", "order-events", "notifications"):
        desk.hear(queue)
    told = explain(desk.marks())
    assert told.because == "the order is REFUNDED, and no message is missed"
    assert told.missing == ()
    assert {hop.publisher for hop in told.hops} == {"order", "inventory", "payment"}
    # What was published is explained, and what is explained was published.
    assert {hop.id for hop in told.hops} == {event.id for event in desk.published}


def test_inventory_that_hears_of_a_declined_charge_itself_may_be_the_first_to_answer() -> None:
    desk = Desk(declines=True).heard("inventory", "orders", "STOCK_RESERVED")
    told = explain(desk.marks(auto_compensation=True, waiting={"order-events": 1, "inventory-events": 1}))
    assert {each.event for each in told.next} == {"PAYMENT_FAILED", "INVENTORY_RELEASED"}


def test_a_refused_refund_waits_for_what_payment_asks_by_itself() -> None:
    """No message is on its way, and one will come all the same."""
    desk = Desk().paid()
    desk.command(RequestRefund(order_id=ORDER, customer_id=None, reason="broken", refund_request_id="all"))
    desk.hear("notifications")
    desk.refuses = True
    for queue in ("payment-events", "order-events"):
        desk.hear(queue)
    told = explain(desk.marks())
    assert [each.event for each in told.next] == ["PAYMENT_REFUNDED"]
    assert told.next[0].effects[0].startswith("stays REFUNDING, emits INVENTORY_RELEASE_REQUEST")
    assert told.advice[0].says.startswith("Look at the charge in the provider's books")


def test_a_refund_whose_answer_at_the_second_time_is_lost_misses_it() -> None:
    desk = Desk().paid()
    desk.command(RequestRefund(order_id=ORDER, customer_id=None, reason="broken", refund_request_id="all"))
    desk.hear("notifications")
    desk.refuses = True
    for queue in ("payment-events", "order-events"):
        desk.hear(queue)
    desk.refuses = False
    desk.ask_again()
    lost = desk.published[-1]
    assert lost.type == "PAYMENT_REFUNDED"
    assert explain(desk.marks()).missing == (f"order-events/{lost.id}",)


def test_a_charge_that_was_never_to_be_made_is_never_answered() -> None:
    """The cancellation was faster than what it cancels."""
    desk = Desk()
    for queue in ("inventory", "orders"):
        desk.hear(queue)
    desk.command(CancelOrder(order_id=ORDER, customer_id=None))
    for queue in ("payment-events", "STOCK_RESERVED", "inventory", "orders", "notifications"):
        desk.hear(queue)
    told = explain(desk.marks())
    assert states(told)["ORDER_CONFIRMED on STOCK_RESERVED"] is HopState.DONE
    assert (told.verdict, told.missing) == (Verdict.SETTLED, ())
    assert "PAYMENT_SUCCEEDED" not in {hop.type for hop in told.hops}


def test_what_contradicted_is_not_waited_for() -> None:
    """Payment was asked for another amount than it took: it marked that, and answers nothing."""
    desk = Desk()
    for queue in ("inventory", "orders", "STOCK_RESERVED", "order-events"):
        desk.hear(queue)
    desk.command(RequestRefund(order_id=ORDER, customer_id=None, reason="broken", refund_request_id="all"))
    desk.change(Payment, amount=7)
    desk.hear("payment-events")
    told = explain(desk.marks(waiting={"inventory-events": 1, "notifications": 2}))
    assert states(told)["PAYMENT_REFUND on payment-events"] is HopState.DONE
    assert told.missing == ()
    assert "PAYMENT_REFUND: more was asked back than is left, or another amount than before" in told.findings


def test_an_event_whose_mail_waits_is_on_its_way_and_not_lost() -> None:
    desk = Desk().paid()
    (told,) = (ref for ref, each in desk.stored.items() if isinstance(each, Notification))
    desk.stored[told] = structs.replace(desk.stored[told], state=NotificationState.WAITING)
    found = explain(desk.marks(waiting={"notifications.retry.3": 1}))
    assert states(found)["ORDER_PAID on notifications"] is HopState.ON_ITS_WAY
    assert found.missing == ()


# --- in a shop that sends goods ---------------------------------------------------------------------------


def test_an_order_is_followed_until_its_goods_have_arrived() -> None:
    desk = Desk().delivered()
    told = explain(desk.marks())
    assert told.verdict is Verdict.SETTLED
    assert {hop.state for hop in told.hops} == {HopState.DONE}
    way = [(hop.publisher, hop.type, hop.consumer) for hop in told.hops]
    assert [each for each in way if "fulfilment" in each] == [
        ("order", "ORDER_PAID", "fulfilment"),
        ("fulfilment", "SHIPMENT_REQUEST", "order"),
        ("order", "SHIPMENT_APPROVED", "fulfilment"),
        ("fulfilment", "ORDER_SHIPPED", "notification"),
        ("fulfilment", "ORDER_DELIVERED", "notification"),
    ]
    assert Book("fulfilment", "DELIVERED", ("by DHL, without a number",)) in told.books


def refused_to_go() -> Desk:
    """Asked back while the question is on its way."""
    desk = Desk().asked_to_ship()
    desk.command(RequestRefund(order_id=ORDER, customer_id=None, reason="broken", refund_request_id="all"))
    return desk.heard("notifications", "order-events")


def test_a_shipment_that_the_order_refuses_is_followed_to_its_end() -> None:
    desk = refused_to_go().heard("fulfilment")
    hops = {hop.type: hop for hop in explain(desk.marks(waiting={"payment-events": 1})).hops}
    refused = hops["SHIPMENT_REFUSED"]
    assert (refused.publisher, refused.consumer, refused.state) == ("order", "fulfilment", HopState.DONE)


@pytest.mark.parametrize(
    ("desk", "lost"),
    [
        (Desk().asked_to_ship(), "SHIPMENT_REQUEST on order-events"),
        (Desk().asked_to_ship().heard("order-events"), "SHIPMENT_APPROVED on fulfilment"),
        (refused_to_go(), "SHIPMENT_REFUSED on fulfilment"),
        (Desk().asked_to_ship().heard("order-events", "fulfilment"), "ORDER_SHIPPED on notifications"),
    ],
    ids=["question", "approval", "refusal", "news"],
)
def test_a_message_of_a_shipment_that_is_lost_is_named(desk: Desk, lost: str) -> None:
    type_, _, queue = lost.partition(" on ")
    event = next(each for each in desk.published if each.type == type_)
    told = explain(desk.marks(waiting={"payment-events": 1}, ships_since=NOW))
    assert told.missing == (f"{queue}/{event.id}",)
    assert told.verdict is Verdict.STUCK
    assert f"{type_} was never handled by" in told.because


def test_that_an_order_was_paid_is_missed_by_fulfilment_from_when_it_heard_of_orders() -> None:
    desk = Desk().paid()
    (paid,) = (each.id for each in desk.published if each.type == "ORDER_PAID")
    told = explain(desk.marks(ships_since=NOW))
    assert (told.missing, told.verdict) == ((f"fulfilment/{paid}",), Verdict.STUCK)
    for marks in (desk.marks(), desk.marks(ships_since=NOW + timedelta(seconds=1))):
        told = explain(marks)
        assert (told.verdict, told.missing) == (Verdict.SETTLED, ())
        assert "fulfilment" not in {hop.consumer for hop in told.hops}


def test_what_waits_in_an_outbox_is_for_fulfilment_only_where_it_hears_of_orders() -> None:
    desk = Desk().paid()
    unsent = Unsent("theirs", "ORDER_REFUNDED", "order", NOW)
    consumers = [
        {
            hop.consumer
            for hop in explain(desk.marks(unsent=(unsent,), ships_since=since)).hops
            if hop.id == "theirs"
        }
        for since in (None, NOW)
    ]
    assert consumers == [{"notification"}, {"notification", "fulfilment"}]


@pytest.mark.parametrize("kept", [(), (Said("PACK", "theirs", NOW),)], ids=["older", "newer"])
def test_of_commands_that_are_not_known_what_the_order_took_is_shown(kept: tuple[Said, ...]) -> None:
    desk = Desk().delivered()
    desk.change(Shipment, commands=kept)
    told = explain(desk.marks())
    assert told.verdict is Verdict.SETTLED
    (asked,) = (hop for hop in told.hops if hop.type == "SHIPMENT_REQUEST")
    assert (asked.publisher, asked.state, asked.cause) == ("unknown", HopState.DONE, None)


# ----------------------------------------------------------------------------------------------------------


def test_a_dead_letter_of_a_service_whose_books_are_not_read_is_shown_and_nothing_is_foretold(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(CONSUMER, "loyalty", "loyalty")
    desk = Desk().paid()
    paid = next(event for event in desk.published if event.type == "ORDER_PAID")
    letter = Letter("loyalty", paid.id, "ORDER_PAID", "failed: KeyError", b"{}")
    (hop,) = (hop for hop in explain(desk.marks(letters=(letter,))).hops if hop.queue == "loyalty")
    assert (hop.state, hop.consumer, hop.redrive) == (HopState.DEAD_LETTER, "loyalty", None)
    assert hop.publisher == "order"


def test_what_the_order_took_from_a_service_whose_books_are_not_read_is_said_to_be_its(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(UNREAD, "LOYALTY_RECORDED", "loyalty")
    monkeypatch.setitem(QUEUE_OF, "LOYALTY_RECORDED", "order-events")
    monkeypatch.setitem(QUEUE_OF, "POINTS", "order-events")
    order = Desk().paid().one(Order)
    took = [
        HistoryEntry(NOW, type_, order.status, order.status, f"event-{type_}")
        for type_ in ("LOYALTY_RECORDED", "POINTS")
    ]
    order = structs.replace(order, history=(*order.history, *took))
    told = explain(Marks(case=Case(ORDER, order, None, None, [], []), at=NOW))
    publishers = {hop.type: hop.publisher for hop in told.hops if hop.id.startswith("event-")}
    assert publishers == {"LOYALTY_RECORDED": "loyalty", "POINTS": "unknown"}


def test_an_order_that_nobody_knows_and_one_that_only_others_know() -> None:
    nobody = explain(Marks(case=Case("x", None, None, None, [], []), at=NOW))
    assert (nobody.verdict, nobody.hops, nobody.actions) == (Verdict.UNKNOWN, (), ())
    desk = Desk()
    desk.hear("inventory")
    del desk.stored[next(ref for ref in desk.stored if ref.kind is Order)]
    assert explain(desk.marks()).verdict is Verdict.CONTRADICTED


def test_an_order_that_is_open_with_nothing_on_its_way_is_stuck() -> None:
    desk = Desk().paid()
    desk.change(Order, status="REFUNDING")
    told = explain(desk.marks())
    assert told.verdict is Verdict.CONTRADICTED  # its history does not lead there
    assert told.advice


def test_an_order_that_a_newer_release_has_moved_or_that_is_damaged_is_explained_all_the_same() -> None:
    desk = Desk().paid()
    history = desk.one(Order).history
    newer = structs.replace(history[-1], event="SHIPPED", event_id="theirs")
    desk.change(Order, history=(*history, newer))
    assert explain(desk.marks()).verdict is Verdict.CONTRADICTED  # by the table of this release
    desk = Desk().paid()
    desk.command(RequestRefund(order_id=ORDER, customer_id=None, reason="broken", refund_request_id="all"))
    desk.change(Order, capture=None)
    assert explain(desk.marks()).hops


def test_every_word_of_the_table_publishes_what_is_said_of_it() -> None:
    steps = [row for rows in SAGA.cells.values() for row in rows if isinstance(row, Step)]
    assert {emit for step in steps for emit in step.emit} == set(EMITS)
    desk, trigger = (
        Desk().paid(),
        RequestRefund(order_id=ORDER, customer_id=None, reason="", refund_request_id="all"),
    )
    desk.command(trigger)
    order = desk.one(Order)
    for emit, kind in EMITS.items():
        assert type(emit(order, trigger)) is kind


def test_of_an_order_that_cannot_be_read_whole_nothing_is_made_up() -> None:
    """Its charge is in the books, unreadable: it is not to be asked for again."""
    marks = heard_but_unreadable()
    told = explain(marks)
    assert (told.verdict, told.hops, told.missing, told.next, told.actions) == (
        Verdict.UNKNOWN,
        (),
        (),
        (),
        (),
    )
    assert told.because == f"payments/{ORDER} is not as this release writes it: Invalid enum value"
    assert [book.service for book in told.books] == ["order", "inventory", "gateway"]
    assert "sagactl of the services' release" in told.advice[0].says
    letter = Letter("STOCK_RESERVED", "event-1", "ORDER_CONFIRMED", "failed", b"{}")
    assert of_letter(marks, letter) == Preview(Outcome.FAILS, told.because)
    found = plan(marks, Held(Counter(), Counter()))
    assert (found.ends, found.steps) == (Ends.BY_HAND, ())
    assert ORDER in found.findings[0]


def heard_but_unreadable() -> Marks:
    desk = Desk()
    for queue in ("inventory", "orders", "STOCK_RESERVED"):
        desk.hear(queue)
    marks = desk.marks(after=LONG)
    odd = Unreadable(Payment.collection, ORDER, "Invalid enum value")
    return structs.replace(marks, case=marks.case._replace(payment=None, unreadable=(odd,)))


def test_its_json_is_as_the_schema_says() -> None:
    desk = Desk()
    for marks in (desk.marks(), desk.paid().marks(letters=(desk.letter("orders"),))):
        assert document(msgspec.json.encode(explain(marks)).decode())["order"] == ORDER


def test_the_verdict_comes_first_and_what_to_do_comes_last() -> None:
    told = list(lines(explain(Desk().marks())))
    assert told[1].startswith("verdict       STUCK: INVENTORY_RESERVE_REQUEST was never handled by inventory")
    assert told[-1].strip() == f"sagactl repair {ORDER}"
