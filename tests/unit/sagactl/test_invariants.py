"""Sound cases pass, and each way to break one is found and named by its invariant."""

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Final, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from sagactl.oncall import invariants
from sagactl.oncall.invariants import Case, Held, Invariant
from services.fulfilment.shipment import Goods, Shipment, ShipmentState
from services.inventory.reservation import LineState, Reservation, ReservedLine
from services.inventory.stock import Stock
from services.notification.domain import Notification
from services.order.model import HistoryEntry, Order, ShippedLine, Status
from services.payment.gateway import Kind
from services.payment.gateway import Status as GatewayStatus
from services.payment.ledger import LedgerEntry
from services.payment.payment import Payment, PaymentRefund, PaymentState, RefundState
from services.shared.contract.table import Contradiction
from services.shared.database.store import Unreadable
from tests.unit.order import examples
from tests.unit.order.examples import AT, CREATED_AT, ORDER_ID, TOTAL

RESERVED: Final = ("INVENTORY_RESERVED", Status.CONFIRMED)
CAPTURED: Final = ("PAYMENT_SUCCEEDED", Status.PAID)


def with_history(order: Order, *steps: tuple[str, Status]) -> Order:
    entries = [HistoryEntry(CREATED_AT, "ORDER_CREATED", None, Status.PENDING, ORDER_ID)]
    for event, to in steps:
        entries.append(HistoryEntry(AT, event, entries[-1].to, to, f"event-{len(entries)}"))
    return structs.replace(order, history=tuple(entries))


def reservation(state: LineState) -> Reservation:
    lines = (
        ReservedLine(product_id="lamp", state=state, quantity=2),
        ReservedLine(product_id="desk", state=state, quantity=1),
    )
    return Reservation(id=ORDER_ID, lines=lines)


def payment(state: PaymentState) -> Payment:
    return Payment(
        id=ORDER_ID, state=state, amount=TOTAL, currency="USD", created_at=CREATED_AT, updated_at=AT
    )


def entry(kind: Kind, status: GatewayStatus) -> LedgerEntry:
    return LedgerEntry(
        id=f"{ORDER_ID}:{kind}",
        order_id=ORDER_ID,
        kind=kind,
        amount=TOTAL,
        currency="USD",
        status=status,
        transaction_id="t",
        at=AT,
    )


def told(*kinds: str) -> list[Notification]:
    return [
        Notification(id=f"{kind}-{number}", kind=kind, order_id=ORDER_ID, recipient="ann", subject="", at=AT)
        for number, kind in enumerate(kinds)
    ]


ODD: Final = (Contradiction(AT, "PAYMENT_FAILED", "e", "declined after"),)
CAPTURE: Final = entry(Kind.CAPTURE, GatewayStatus.CAPTURED)
DECLINE: Final = entry(Kind.CAPTURE, GatewayStatus.DECLINED)
REFUND: Final = entry(Kind.REFUND, GatewayStatus.REFUNDED)
PAID: Final = Case(
    ORDER_ID,
    with_history(examples.PAID, RESERVED, CAPTURED),
    reservation(LineState.SOLD),
    payment(PaymentState.CAPTURED),
    [CAPTURE],
    told("ORDER_PAID"),
)
DECLINED: Final = Case(
    ORDER_ID,
    with_history(
        examples.CANCELLED_GIVEN_BACK,
        RESERVED,
        ("PAYMENT_FAILED", Status.CANCELLED),
        ("INVENTORY_RELEASED", Status.CANCELLED),
    ),
    reservation(LineState.RELEASED),
    payment(PaymentState.DECLINED),
    [DECLINE],
    told("ORDER_CANCELLED"),
)
CAPTURED_LATE: Final = Case(
    ORDER_ID,
    with_history(
        examples.CANCELLED_MONEY_BACK,
        RESERVED,
        ("PAYMENT_FAILED", Status.CANCELLED),
        ("PAYMENT_SUCCEEDED", Status.CANCELLED),
        ("PAYMENT_REFUNDED", Status.CANCELLED),
    ),
    reservation(LineState.RELEASED),
    payment(PaymentState.REFUNDED),
    [CAPTURE, REFUND],
    told("ORDER_CANCELLED"),
)
REFUNDED: Final = Case(
    ORDER_ID,
    with_history(
        examples.REFUNDED,
        RESERVED,
        CAPTURED,
        ("REFUND_REQUESTED", Status.REFUNDING),
        ("PAYMENT_REFUNDED", Status.REFUNDING),
        ("INVENTORY_RELEASED", Status.REFUNDED),
    ),
    reservation(LineState.RELEASED),
    payment(PaymentState.REFUNDED),
    [CAPTURE, REFUND],
    told("ORDER_PAID", "ORDER_REFUND_REQUEST", "ORDER_REFUNDED"),
)
LAMP_BACK: Final = structs.replace(
    REFUND, id=f"{ORDER_ID}:refund:lamp-back", amount=10000, transaction_id="re"
)
PARTLY: Final = Case(
    ORDER_ID,
    with_history(
        examples.PAID_LAMP_DONE,
        RESERVED,
        CAPTURED,
        ("REFUND_REQUESTED", Status.PAID),
        ("PAYMENT_REFUNDED", Status.PAID),
        ("INVENTORY_RELEASED", Status.PAID),
    ),
    structs.replace(
        reservation(LineState.SOLD),
        lines=(
            ReservedLine(product_id="lamp", state=LineState.SOLD, quantity=2, returned=1),
            ReservedLine(product_id="desk", state=LineState.SOLD, quantity=1),
        ),
    ),
    structs.replace(
        payment(PaymentState.CAPTURED),
        refunds=(
            PaymentRefund(request_id="lamp-back", amount=10000, state=RefundState.REFUNDED, refund_id="re"),
        ),
    ),
    [CAPTURE, LAMP_BACK],
    told("ORDER_PAID", "ORDER_REFUND_REQUEST", "ORDER_PARTIALLY_REFUNDED"),
)
REFUSED_FIRST: Final = PARTLY._replace(
    ledger=[
        CAPTURE,
        structs.replace(LAMP_BACK, id="first", status=GatewayStatus.REFUSED, transaction_id="no"),
        LAMP_BACK,
    ]
)
REFUSED: Final = Case(
    ORDER_ID,
    with_history(examples.REFUSED, ("INVENTORY_RESERVE_FAILED", Status.CANCELLED)),
    reservation(LineState.REFUSED),
    payment(PaymentState.VOIDED),
    [],
    told("ORDER_CANCELLED"),
)
OTHER_SYSTEMS: Final = Case(
    ORDER_ID, None, reservation(LineState.RELEASED), payment(PaymentState.CAPTURED), [CAPTURE], []
)
LET_GO: Final = (ShippedLine("lamp", 2), ShippedLine("desk", 1))


def shipping(state: ShipmentState, *let_go: ShippedLine, lamps: int = 2) -> Case:
    """Of an order that is paid, of which so much may go; and what is known of its goods."""
    goods = (Goods("lamp", lamps), Goods("desk", 1))
    shipment = Shipment(id=ORDER_ID, state=state, products=goods, created_at=AT, updated_at=AT)
    kinds = {
        ShipmentState.SHIPPED: ("ORDER_SHIPPED",),
        ShipmentState.DELIVERED: ("ORDER_SHIPPED", "ORDER_DELIVERED"),
    }.get(state, ())
    case = PAID._replace(shipment=shipment, notifications=told("ORDER_PAID", *kinds))
    return order(case, shipped=let_go)


def order(case: Case, **changes: object) -> Case:
    assert case.order is not None
    return case._replace(order=structs.replace(case.order, **changes))


SOUND: Final = {
    "paid": PAID,
    "declined": DECLINED,
    "captured late": CAPTURED_LATE,
    "refunded": REFUNDED,
    "partly refunded": PARTLY,
    "refunded at the second time": REFUSED_FIRST,
    "refused": REFUSED,
    "of another system": OTHER_SYSTEMS,
    "not sent yet": shipping(ShipmentState.READY),
    "sent": shipping(ShipmentState.SHIPPED, *LET_GO),
    "delivered": shipping(ShipmentState.DELIVERED, *LET_GO),
    "not to be sent": REFUNDED._replace(shipment=shipping(ShipmentState.CANCELLED).shipment),
}

Break: TypeAlias = Callable[[], Case]


BROKEN: Final[dict[str, tuple[Invariant, Break]]] = {
    "paid, and the goods are only held": (
        Invariant.STOCK_OWNED,
        lambda: PAID._replace(reservation=reservation(LineState.HELD)),
    ),
    "paid, and nothing is reserved": (Invariant.STOCK_OWNED, lambda: PAID._replace(reservation=None)),
    "cancelled, and the goods are held": (
        Invariant.STOCK_OWNED,
        lambda: DECLINED._replace(reservation=reservation(LineState.HELD)),
    ),
    "refunded, and the goods are sold": (
        Invariant.STOCK_OWNED,
        lambda: REFUNDED._replace(reservation=reservation(LineState.SOLD)),
    ),
    "held for nobody": (
        Invariant.STOCK_OWNED,
        lambda: OTHER_SYSTEMS._replace(reservation=reservation(LineState.HELD)),
    ),
    "paid, and never captured": (Invariant.MONEY_AGREES, lambda: PAID._replace(ledger=[])),
    "captured twice": (
        Invariant.MONEY_AGREES,
        lambda: PAID._replace(ledger=[CAPTURE, structs.replace(CAPTURE, id="again")]),
    ),
    "captured another amount": (
        Invariant.MONEY_AGREES,
        lambda: PAID._replace(ledger=[structs.replace(CAPTURE, amount=TOTAL - 1)]),
    ),
    "captured in another currency": (
        Invariant.MONEY_AGREES,
        lambda: PAID._replace(ledger=[structs.replace(CAPTURE, currency="EUR")]),
    ),
    "paid, and refunded": (Invariant.MONEY_AGREES, lambda: PAID._replace(ledger=[CAPTURE, REFUND])),
    "cancelled, and the money is kept": (
        Invariant.MONEY_AGREES,
        lambda: CAPTURED_LATE._replace(ledger=[CAPTURE]),
    ),
    "refunded twice": (
        Invariant.MONEY_AGREES,
        lambda: REFUNDED._replace(ledger=[CAPTURE, REFUND, structs.replace(REFUND, id="again")]),
    ),
    "a part refunded of another amount": (
        Invariant.MONEY_AGREES,
        lambda: PARTLY._replace(ledger=[CAPTURE, structs.replace(LAMP_BACK, amount=9999)]),
    ),
    "a part refunded twice": (
        Invariant.MONEY_AGREES,
        lambda: PARTLY._replace(ledger=[CAPTURE, LAMP_BACK, structs.replace(LAMP_BACK, id="again")]),
    ),
    "a part never refunded": (Invariant.MONEY_AGREES, lambda: PARTLY._replace(ledger=[CAPTURE])),
    "more refunded than was taken": (
        Invariant.MONEY_AGREES,
        lambda: PARTLY._replace(ledger=[CAPTURE, structs.replace(LAMP_BACK, amount=TOTAL + 1)]),
    ),
    "a part that is not what its pieces cost": (
        Invariant.MONEY_AGREES,
        lambda: order(
            PARTLY._replace(ledger=[CAPTURE, structs.replace(LAMP_BACK, amount=9000)]),
            refunds=(structs.replace(examples.PAID_LAMP_DONE.refunds[0], amount=9000),),
        ),
    ),
    "a part that did not come back": (
        Invariant.STOCK_OWNED,
        lambda: PARTLY._replace(reservation=reservation(LineState.SOLD)),
    ),
    "a part of which nobody was told": (
        Invariant.SAGA_ENDED,
        lambda: PARTLY._replace(notifications=told("ORDER_PAID")),
    ),
    "a part of which the customer was told twice": (
        Invariant.SAGA_ENDED,
        lambda: PARTLY._replace(
            notifications=told("ORDER_PAID", "ORDER_PARTIALLY_REFUNDED", "ORDER_PARTIALLY_REFUNDED")
        ),
    ),
    "refused by the gateway": (
        Invariant.EXPLAINED,
        lambda: order(PAID, refunds=examples.PAID_LAMP_REFUSED.refunds),
    ),
    "charged without our knowledge": (Invariant.MONEY_AGREES, lambda: DECLINED._replace(payment=None)),
    "a capture that never ended": (
        Invariant.MONEY_AGREES,
        lambda: DECLINED._replace(payment=payment(PaymentState.CAPTURING)),
    ),
    "over here, and held there": (
        Invariant.MONEY_AGREES,
        lambda: DECLINED._replace(ledger=[entry(Kind.CAPTURE, GatewayStatus.AUTHORIZED)]),
    ),
    "called off here, and captured there": (
        Invariant.MONEY_AGREES,
        lambda: DECLINED._replace(payment=payment(PaymentState.VOIDED), ledger=[CAPTURE]),
    ),
    "declined there, captured here": (
        Invariant.MONEY_AGREES,
        lambda: PAID._replace(ledger=[DECLINE]),
    ),
    "a total that its lines do not add up to": (
        Invariant.MONEY_AGREES,
        lambda: order(
            PAID._replace(
                payment=structs.replace(payment(PaymentState.CAPTURED), amount=TOTAL + 1),
                ledger=[structs.replace(CAPTURE, amount=TOTAL + 1)],
            ),
            total=TOTAL + 1,
        ),
    ),
    "not settled": (Invariant.SAGA_ENDED, lambda: order(PAID, status=Status.CONFIRMED)),
    "a history that does not end where the order is": (
        Invariant.SAGA_ENDED,
        lambda: order(PAID, history=with_history(examples.PAID, RESERVED).history),
    ),
    "a history that cannot have happened": (
        Invariant.SAGA_ENDED,
        lambda: order(PAID, history=with_history(examples.PAID, CAPTURED).history),
    ),
    "no history": (Invariant.SAGA_ENDED, lambda: order(PAID, history=())),
    "paid, and nobody was told": (Invariant.SAGA_ENDED, lambda: PAID._replace(notifications=[])),
    "told twice": (
        Invariant.SAGA_ENDED,
        lambda: PAID._replace(notifications=told("ORDER_PAID", "ORDER_PAID")),
    ),
    "told both": (
        Invariant.SAGA_ENDED,
        lambda: PAID._replace(notifications=told("ORDER_PAID", "ORDER_CANCELLED")),
    ),
    "refunded without having been paid": (
        Invariant.SAGA_ENDED,
        lambda: REFUNDED._replace(notifications=told("ORDER_REFUNDED")),
    ),
    "a refund of a paid order": (
        Invariant.SAGA_ENDED,
        lambda: PAID._replace(notifications=told("ORDER_PAID", "ORDER_REFUNDED")),
    ),
    "a message handled twice": (
        Invariant.REMEMBERED,
        lambda: PAID._replace(reservation=structs.replace(reservation(LineState.SOLD), seen=(b"a", b"a"))),
    ),
    "marked by the order service": (
        Invariant.EXPLAINED,
        lambda: order(PAID, attention=ODD),
    ),
    "marked by inventory": (
        Invariant.EXPLAINED,
        lambda: PAID._replace(reservation=structs.replace(reservation(LineState.SOLD), attention=ODD)),
    ),
    "marked by payment": (
        Invariant.EXPLAINED,
        lambda: PAID._replace(payment=structs.replace(payment(PaymentState.CAPTURED), attention=ODD)),
    ),
}


def found(case: Case) -> set[Invariant]:
    findings = [*invariants.check_case(case), *invariants.contradictions(case)]
    assert {finding.subject for finding in findings} <= {case.id}
    return {finding.invariant for finding in findings}


@pytest.mark.parametrize("case", SOUND.values(), ids=SOUND.keys())
def test_a_sound_order_has_no_findings(case: Case) -> None:
    assert found(case) == set()


@pytest.mark.parametrize(("invariant", "case"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_order_is_found(invariant: Invariant, case: Break) -> None:
    assert invariant in found(case())


WAITING: Final[dict[str, Case]] = {
    "not yet settled": Case(
        ORDER_ID,
        with_history(examples.CONFIRMED, RESERVED),
        reservation(LineState.HELD),
        payment(PaymentState.CAPTURING),
        [],
        [],
    ),
    "decided on later": Case(
        ORDER_ID,
        with_history(examples.CONFIRMED_PENDING, RESERVED),
        reservation(LineState.HELD),
        payment(PaymentState.PENDING),
        [entry(Kind.CAPTURE, GatewayStatus.PENDING)],
        [],
    ),
    "to be called off": DECLINED._replace(
        payment=payment(PaymentState.VOIDING), ledger=[entry(Kind.CAPTURE, GatewayStatus.AUTHORIZED)]
    ),
    "paid, and not yet sold": PAID._replace(reservation=reservation(LineState.HELD)),
    "paid, and not yet told": PAID._replace(notifications=[]),
    "cancelled, and not yet released": DECLINED._replace(reservation=reservation(LineState.HELD)),
    "a part that is not back in the stock, for all the order knows": order(
        PARTLY._replace(notifications=told("ORDER_PAID")), refunds=examples.PAID_LAMP_MONEY_BACK.refunds
    ),
    "a part that the gateway is asked for": order(
        PARTLY._replace(
            payment=structs.replace(
                payment(PaymentState.REFUNDING),
                refunds=(PaymentRefund(request_id="lamp-back", amount=10000),),
            ),
            reservation=reservation(LineState.SOLD),
            notifications=told("ORDER_PAID"),
            ledger=[CAPTURE],
        ),
        refunds=examples.PAID_LAMP_ASKED.refunds,
    ),
    "asked whether its goods may go": shipping(ShipmentState.SHIPPING),
    "let go, and not yet sent": shipping(ShipmentState.SHIPPING, *LET_GO),
    "captured late, and not yet refunded": CAPTURED_LATE._replace(
        payment=payment(PaymentState.REFUNDING), ledger=[CAPTURE]
    ),
}
FOREVER: Final[dict[str, Case]] = {
    "paid, and some of it is nowhere": PAID._replace(reservation=None),
    "told twice": PAID._replace(notifications=told("ORDER_PAID", "ORDER_PAID")),
    "told of the wrong end": PAID._replace(notifications=told("ORDER_PAID", "ORDER_CANCELLED")),
    "captured twice": PAID._replace(ledger=[CAPTURE, CAPTURE]),
    "sent, and the order had let nothing go": shipping(ShipmentState.SHIPPED),
    "sent more than the order had let go": shipping(ShipmentState.SHIPPED, *LET_GO, lamps=3),
    "let go, and nobody is to send it": shipping(ShipmentState.READY, *LET_GO),
    "let go, and nothing is known of its goods": shipping(ShipmentState.READY, *LET_GO)._replace(
        shipment=None
    ),
    "refunded and never taken": CAPTURED_LATE._replace(ledger=[REFUND]),
}


@pytest.mark.parametrize("case", WAITING.values(), ids=WAITING.keys())
def test_what_a_message_on_its_way_may_cure_is_waiting(case: Case) -> None:
    findings = list(invariants.check_case(case))
    assert findings
    assert [each for each in findings if not each.waiting] == []


@pytest.mark.parametrize("case", FOREVER.values(), ids=FOREVER.keys())
def test_what_no_message_cures_is_not_waiting(case: Case) -> None:
    assert [each for each in invariants.check_case(case) if not each.waiting]


@pytest.mark.parametrize("case", [*WAITING.values(), *FOREVER.values()])
def test_findings_are_sentences(case: Case) -> None:
    for finding in invariants.check_case(case):
        assert not set("{}[]<>") & set(finding.what), finding.what


# --- goods ------------------------------------------------------------------------------------------------

SECOND: Final = timedelta(seconds=1)
READY: Final = shipping(ShipmentState.READY).shipment
CALLED_OFF: Final = shipping(ShipmentState.CANCELLED).shipment
WRONG_GOODS: Final[dict[str, tuple[Case, str]]] = {
    "of an order that is cancelled": (
        DECLINED._replace(shipment=READY),
        "its shipment is READY, of an order that is CANCELLED",
    ),
    "of an order that is not paid yet": (
        WAITING["not yet settled"]._replace(shipment=READY),
        "its shipment is READY, of an order that is CONFIRMED",
    ),
    "of an order that is gone": (
        shipping(ShipmentState.READY)._replace(order=None),
        "its shipment is READY, of an order that does not exist",
    ),
    "more than was paid for": (
        shipping(ShipmentState.READY, lamps=3),
        "to be sent: 3 of lamp, 1 of desk, but paid for was: 2 of lamp, 1 of desk",
    ),
    "called off, and nobody has asked for it back": (
        shipping(ShipmentState.CANCELLED),
        "PAID, but its shipment is CANCELLED, as if all of it were asked back",
    ),
    "let go, and never paid for": (
        shipping(ShipmentState.SHIPPED, ShippedLine("lamp", 3), ShippedLine("desk", 1), lamps=3),
        "the order let go: 3 of lamp, 1 of desk, but paid for was: 2 of lamp, 1 of desk",
    ),
    "kept back, and nobody has asked for it": (
        shipping(ShipmentState.SHIPPED, ShippedLine("lamp", 1), ShippedLine("desk", 1), lamps=1),
        "the order let go: 1 of lamp, 1 of desk, but paid for was: 2 of lamp, 1 of desk",
    ),
}
# Where fulfilment hears of orders.
UNHEARD: Final[dict[str, tuple[Case, str]]] = {
    "of one that is paid": (PAID, "PAID, but fulfilment knows nothing of it: it has no shipment"),
    "of one that is refunded": (
        REFUNDED,
        "REFUNDED, but fulfilment knows nothing of it: it has no shipment",
    ),
    "that it is refunded": (REFUNDED._replace(shipment=READY), "REFUNDED, but its shipment is READY"),
}


def test_what_was_asked_back_before_is_not_let_go() -> None:
    let_go = (ShippedLine("lamp", 1), ShippedLine("desk", 1))
    sent = shipping(ShipmentState.SHIPPED, *let_go, lamps=1)
    asked_before = order(PARTLY._replace(shipment=sent.shipment), shipped=let_go)
    told_of_both = [*PARTLY.notifications, *told("ORDER_SHIPPED")]
    assert found(asked_before._replace(notifications=told_of_both)) == set()


@pytest.mark.parametrize(("case", "what"), WRONG_GOODS.values(), ids=WRONG_GOODS.keys())
def test_goods_that_are_sent_otherwise_than_the_order_has_it_are_named(case: Case, what: str) -> None:
    assert (Invariant.STOCK_OWNED, what, False) in [
        (each.invariant, each.what, each.waiting) for each in invariants.check_case(case)
    ]


@pytest.mark.parametrize(("case", "what"), UNHEARD.values(), ids=UNHEARD.keys())
def test_what_fulfilment_never_heard_is_named_where_it_hears_of_orders(case: Case, what: str) -> None:
    """A message on its way would cure it."""
    assert [*invariants.check_case(case, AT)] == [
        invariants.Finding(Invariant.STOCK_OWNED, ORDER_ID, what, waiting=True)
    ]
    assert found(case) == set()


def test_orders_that_were_paid_before_fulfilment_heard_of_any_have_no_shipment() -> None:
    assert [*invariants.check_case(PAID, AT + SECOND)] == []
    assert [*invariants.check_case(REFUNDED, AT + SECOND)] == []


@pytest.mark.parametrize("case", [WAITING["not yet settled"], DECLINED, REFUSED, OTHER_SYSTEMS])
def test_of_what_was_never_paid_fulfilment_knows_nothing(case: Case) -> None:
    assert [*invariants.check_case(case, CREATED_AT)] == [*invariants.check_case(case)]


COUNTS = st.integers(0, 10)


@given(available=COUNTS, reserved=COUNTS, sold=COUNTS, restocked=COUNTS)
def test_a_product_whose_pieces_are_all_accounted_for_is_sound(
    available: int, reserved: int, sold: int, restocked: int
) -> None:
    stock = Stock(
        id="lamp",
        available=available,
        reserved=reserved,
        sold=sold,
        initial=available + reserved + sold - restocked,
        restocked=restocked,
    )
    assert list(invariants.check_stock(stock, Held(Counter(lamp=reserved), Counter(lamp=sold)))) == []


@given(available=COUNTS, reserved=COUNTS, sold=COUNTS, off=st.integers(-10, 10).filter(bool))
@pytest.mark.parametrize("counter", ["available", "reserved", "sold", "initial"])
def test_a_piece_too_many_or_too_few_is_found(
    available: int, reserved: int, sold: int, off: int, counter: str
) -> None:
    sound = Stock(
        id="lamp", available=available, reserved=reserved, sold=sold, initial=available + reserved + sold
    )
    broken = structs.replace(sound, **{counter: getattr(sound, counter) + off})
    findings = invariants.check_stock(broken, Held(Counter(lamp=reserved), Counter(lamp=sold)))
    assert Invariant.STOCK_CONSERVED in {finding.invariant for finding in findings}


@pytest.mark.parametrize("state", [LineState.HELD, LineState.SOLD])
def test_stock_that_moved_without_a_reservation_is_found(state: LineState) -> None:
    stock = Stock(id="lamp", available=6, reserved=2, sold=2, initial=10)
    held = Held(Counter(lamp=2, desk=1), Counter(lamp=2))
    invariants.tally([reservation(state)], held)
    findings = list(invariants.check_stock(stock, held))
    assert [(finding.invariant, finding.subject) for finding in findings] == [(Invariant.STOCK_OWNED, "lamp")]


def test_a_reservation_of_a_product_without_stock_is_found() -> None:
    held = Held(Counter(desk=1, lamp=0), Counter())
    assert [finding.subject for finding in invariants.without_stock(held)] == ["desk"]


def test_a_product_of_the_catalogue_without_a_stock_row_is_found() -> None:
    findings = list(invariants.unstocked(["lamp", "desk"], {"lamp", "gone"}))
    assert [(each.invariant, each.subject) for each in findings] == [(Invariant.STOCK_CONSERVED, "desk")]


def test_an_invariant_is_named_by_its_name_or_its_number() -> None:
    assert Invariant.named("MONEY_AGREES") is Invariant.named("I3") is Invariant.MONEY_AGREES
    with pytest.raises(ValueError, match="I9"):
        Invariant.named("I9")


@pytest.mark.parametrize(
    ("case", "collection"),
    [
        (PAID._replace(order=None), "orders"),
        (PAID._replace(reservation=None), "reservations"),
        (PAID._replace(payment=None), "payments"),
    ],
)
def test_of_what_cannot_be_read_whole_only_that_is_said(case: Case, collection: str) -> None:
    """Nothing of it is missing: what is there may say what the others go by."""
    case = case._replace(unreadable=(Unreadable(collection, ORDER_ID, "Invalid enum value 'SOON'"),))
    (found,) = invariants.check_case(case, CREATED_AT)
    assert (found.invariant, found.subject, found.waiting) == (Invariant.EXPLAINED, ORDER_ID, False)
    assert f"{collection}/{ORDER_ID} is not as this release writes it: Invalid enum" in found.what
    assert case.is_ordered
