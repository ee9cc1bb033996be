"""What waits, and where: queues, orders that are stuck, mails, as their pages tell of them."""

from collections.abc import Mapping
from datetime import timedelta
from inspect import signature
from typing import Any, Final

import pytest
from msgspec import structs

from console import mails, queues, stuck
from console.cluster import NO_CLUSTER
from console.rates import Point, rates
from sagactl.oncall import sweep
from sagactl.oncall.explain.explaining import explain, glance
from sagactl.oncall.overdue import POLICY
from sagactl.oncall.sample_mails import EXAMPLES
from sagactl.oncall.status.standing import Backlog, Depth, Node, Part, Status, Unbound, Unseen
from sagactl.oncall.waits import Notes, Sample
from services.notification.domain import Notification, NotificationState, Resend, check_resendable
from services.order.model import Order
from services.order.model import Status as State
from services.shared.contract.decisions import Refused
from services.shared.contract.events import EXCHANGE
from services.shared.mail.writing import LANGUAGES
from tests.unit.console.pages import NOW, Page, rendered
from tests.unit.console.test_console_pages import EVIL, letter
from tests.unit.explain.desk import ORDER, Desk

AT_MOST: Final = 3
NOTHING: Final[Mapping[str, Notes]] = {}


# --- queues -----------------------------------------------------------------------------------------------


def depth(**more: Any) -> Depth:
    usual: dict[str, Any] = {
        "queue": "orders",
        "service": "order",
        "messages": 3,
        "consumers": 2,
        "retrying": 1,
        "dead": 2,
    }
    return Depth(**(usual | more))


def test_a_queue_that_is_not_bound_and_a_broker_that_takes_nothing_are_told_where_queues_are() -> None:
    lacks = (
        Unbound("orders", "orders", "order", EXCHANGE, ("INVENTORY_RESERVED",), ()),
        Unbound("orders.dlq", "orders", "order", "order.retry", ("orders.dlq",), ()),
    )
    short = Node("rabbit@one", runs=True, short_of=("disk",))
    page = queues_page(Status(at=NOW, queues=(depth(),), unbound=lacks, nodes=(short,)))
    assert "orders ‼ not bound to INVENTORY_RESERVED ‼ orders.dlq not bound to order.retry" in page.text
    assert "RabbitMQ takes no messages, as rabbit@one is short of disk" in page.text


def queues_page(found: Status, notes: Mapping[str, Notes] = NOTHING) -> Page:
    some = [letter(5), letter(3), letter(4, queue="notifications"), letter(1, first_failed_at="long ago")]
    return rendered("queues", page=queues.page(found, some, notes))


def test_a_queue_is_told_with_its_numbers_and_since_when_its_oldest_letter_is_dead() -> None:
    page = queues_page(Status(at=NOW, queues=(depth(),)))
    assert "orders order 3 2 no data 1 2 in 3 s" in page.text
    page = queues_page(Status(at=NOW, queues=(depth(waits=200.0),)))
    assert "orders order 3 3 min 20 s 2 no data 1 2 in 3 s" in page.text
    assert "/letters?queue=orders" in page.links
    assert "None: the broker has confirmed all of them." in page.text


def notes(messages: list[int], acknowledged: list[int]) -> Notes:
    """A note every five seconds, the earliest first."""

    def samples(numbers: list[int]) -> list[Sample]:
        return [Sample(number * 5.0, each) for number, each in enumerate(numbers)][::-1]

    return Notes(samples(messages), samples(acknowledged), 0, 5.0)


def test_a_queue_says_how_fast_messages_come_and_go_also_without_its_drawing() -> None:
    # 60 came in half a minute, and 30 were handled; then nothing came, and 15 were.
    waiting = [0, 5, 10, 15, 20, 25, 30, 28, 26, 24, 20, 18, 15]
    handled = [0, 5, 10, 15, 20, 25, 30, 32, 34, 36, 40, 42, 45]
    page = queues_page(Status(at=NOW, queues=(depth(),)), {"orders": notes(waiting, handled)})
    assert "0.0 in, 0.5 out; at most 2.0" in page.text
    assert [(each["class"], each["points"]) for each in page.all_of("polyline")] == [
        ("into", "2.0,2.0 118.0,26.0"),
        ("out", "2.0,14.0 118.0,20.0"),
    ]
    assert [each["aria-hidden"] for each in page.all_of("svg")] == ["true"]


@pytest.mark.parametrize(
    ("messages", "acknowledged", "now"),
    [
        ([7] * 13, [], Point(0, 0)),
        ([0] * 7 + [3] * 6, [], Point(0.1, 0)),
        # A broker that was started anew counts from none.
        ([5] * 13, [90] * 7 + [0] * 6, Point(0, 0)),
        # What was counted some seconds late is no message that went backwards.
        ([9] * 7 + [0] * 6, [20] * 13, Point(0, 0)),
    ],
)
def test_rates_are_by_what_the_broker_has_counted(
    messages: list[int], acknowledged: list[int], now: Point
) -> None:
    found = rates(notes(messages, acknowledged))
    assert found is not None
    assert found.now == now


@pytest.mark.parametrize("number", [0, 1, 6])
def test_what_the_broker_has_hardly_noted_is_no_rate(number: int) -> None:
    assert rates(notes([1] * number, [1] * number)) is None


def test_a_queue_that_nobody_consumes_or_that_is_not_there_says_so() -> None:
    page = queues_page(Status(at=NOW, queues=(depth(consumers=0, dead=0, exists=False),)))
    assert "orders ‼ not declared order 3 ‼ none no data 1 0" in page.text
    assert "/letters?queue=orders" not in page.links


def test_what_cannot_be_seen_of_queues_is_said_and_the_rest_is_shown() -> None:
    away = Unseen(Part.QUEUES, None, "the broker does not answer", 4)
    late = Backlog("payment", 7, NOW - timedelta(minutes=2), "1")
    page = queues_page(Status(at=NOW, queues=None, outboxes=(late,), unseen=(away,)))
    assert "queues cannot be seen: the broker does not answer" in page.text
    assert "payment 7 2 min ago" in page.text


def test_outboxes_that_cannot_be_seen_are_not_called_empty() -> None:
    away = tuple(Unseen(Part.OUTBOXES, each, "MongoDB does not answer", 4) for each in ("order", "payment"))
    page = queues_page(Status(at=NOW, queues=(), unseen=away))
    assert "None: the broker has confirmed all of them." not in page.text
    assert "They could not be read." in page.text


# --- stuck orders -----------------------------------------------------------------------------------------


def waiting(number: int, status: State, minutes: float) -> Order:
    order: Order = Desk().heard("inventory").one(Order)
    since = NOW - timedelta(minutes=minutes)
    return structs.replace(order, id=f"order-{number}", status=status, state_since=since)


def stuck_page(*orders: Order, why_not: str = "") -> Page:
    page = stuck.page(orders, {}, NOW, AT_MOST)
    return rendered(
        "stuck", page=page, blind="", why_not=why_not, said="", monitors=None, unwatched=NO_CLUSTER
    )


def sweep_page(*orders: Order, **more: Any) -> Page:
    usual = {
        "plan": stuck.swept(orders, NOW, AT_MOST),
        "why_not": "",
        "refusal": "",
        "reason": "",
        "key": "1",
    }
    return rendered("sweep", **(usual | more))


def test_the_sweep_that_is_told_is_that_of_the_command_and_so_of_the_chart() -> None:
    usual = {name: each.default for name, each in signature(sweep.sweep).parameters.items()}
    policy = sweep.policy_of(usual["stale_after"], usual["pending_stale_after"])
    assert POLICY.limits == policy.limits
    assert POLICY.max_per_sweep == usual["max_per_sweep"]


def test_of_each_stuck_order_it_is_told_what_a_sweep_would_do_with_it() -> None:
    page = stuck_page(
        waiting(1, State.CONFIRMED, 20), waiting(2, State.PENDING, 14.5), waiting(3, State.REFUNDING, 10)
    )
    for words in (
        "A sweep would compensate 1 of them now.",
        "order-1 CONFIRMED 20 min ago ? unseen a***@example.com compensates it Compensate",
        "order-2 PENDING 14 min 30 s ago ? unseen a***@example.com nothing yet, but in 30 s Compensate",
        "order-3 REFUNDING 10 min ago ? unseen a***@example.com nothing: its money is on its way back",
    ):
        assert words in page.text
    assert "/orders/order-1/compensate" in page.links
    assert "/orders/order-3/compensate" not in page.links


def test_of_each_stuck_order_it_is_told_why_it_waits() -> None:
    marks = Desk().heard("inventory").marks(after=timedelta(minutes=20))
    assert marks.case.order is not None
    page = stuck.page([marks.case.order], {ORDER: glance(marks)}, NOW + timedelta(hours=1), AT_MOST)
    more = {"blind": "", "why_not": "", "said": "", "monitors": None, "unwatched": NO_CLUSTER}
    text = rendered("stuck", page=page, **more).text
    assert "‼ perhaps stuck INVENTORY_RESERVED was never handled by order, and is nowhere" in text


def test_who_may_not_compensate_is_told_who_may() -> None:
    page = stuck_page(waiting(1, State.CONFIRMED, 20), why_not="this is for the role admin")
    assert "Sweep, compensate: this is for the role admin." in page.text
    assert not any(link.endswith(("/compensate", "/sweep")) for link in page.links)


def test_more_orders_than_a_page_holds_are_said_to_be_more() -> None:
    page = stuck_page(*(waiting(number, State.CONFIRMED, 20) for number in range(AT_MOST + 1)))
    assert "And more" in page.text
    assert f"order-{AT_MOST}" not in page.text


def test_where_nothing_is_stuck_it_says_so() -> None:
    assert "None: every order moves." in stuck_page().text


def test_a_sweep_is_offered_where_it_would_do_something() -> None:
    assert stuck.SWEEP in stuck_page(waiting(1, State.CONFIRMED, 20)).links
    assert stuck.SWEEP not in stuck_page(waiting(2, State.PENDING, 14.5)).links


def test_the_plan_of_a_sweep_names_the_orders_that_it_is_about_and_no_others() -> None:
    page = sweep_page(
        waiting(1, State.CONFIRMED, 20), waiting(2, State.PENDING, 14.5), waiting(3, State.REFUNDING, 10)
    )
    assert "Sweep 1 stuck order Each order is cancelled" in page.text
    assert "order-1 CONFIRMED 20 min ago a***@example.com" in page.text
    assert not {"/orders/order-2", "/orders/order-3"} & set(page.links)
    (form,) = [each for each in page.all_of("form") if each.get("class") == "act"]
    assert (form["action"], form["method"]) == (stuck.SWEEP, "post")


def test_another_set_of_orders_has_another_digest() -> None:
    some = [waiting(1, State.CONFIRMED, 20), waiting(2, State.PENDING, 20)]
    known = {stuck.swept(each, NOW, AT_MOST).digest for each in (some, some[:1], some[1:], [])}
    assert len(known) == 4
    assert stuck.swept(some[::-1], NOW, AT_MOST).digest in known


def test_who_may_not_sweep_has_no_form_for_it() -> None:
    page = sweep_page(waiting(1, State.CONFIRMED, 20), why_not="this is for the role admin")
    assert "This cannot be done: this is for the role admin." in page.text
    assert not any(each.get("class") == "act" for each in page.all_of("form"))


def test_where_there_is_nothing_to_sweep_or_to_see_there_is_no_form() -> None:
    for page in (sweep_page(), sweep_page(plan=None, refusal="MongoDB does not answer.")):
        assert "A sweep would not compensate any order now." in page.text or "MongoDB" in page.text
        assert not any(each.get("class") == "act" for each in page.all_of("form"))


# --- mails ------------------------------------------------------------------------------------------------


def told(state: NotificationState, **more: Any) -> Notification:
    usual: dict[str, Any] = {
        "id": "1",
        "kind": "ORDER_PAID",
        "order_id": ORDER,
        "recipient": "ann@example.com",
        "subject": "Order 1 is paid: 20.00 USD",
        "at": NOW - timedelta(seconds=5),
        "state": state,
    }
    return Notification(**(usual | more))


def mails_page(*some: Notification, show: mails.Show = mails.Show.LATEST, why_not: str = "") -> Page:
    return rendered("mails", page=mails.page(some, show), said="", why_not=why_not)


KEPT: Final[dict[str, Any]] = {"kind": "ORDER_PAID", "data": {"orderId": ORDER}}


def resend_page(found: Notification, why_not: str = "") -> Page:
    plan = mails.to_resend(found)
    more = {"path_to_resend": mails.path_to_resend(found.id), "refusal": "", "reason": "", "key": "1"}
    return rendered("resend", plan=plan, why_not=why_not, **more)


def test_a_mail_that_may_be_sent_once_more_leads_to_its_plan_and_its_form() -> None:
    sent = told(NotificationState.SENT, id="a/b", **KEPT)
    assert "/mails/a%2Fb/resend" in mails_page(sent).links
    page = mails_page(sent, why_not="this is for the role admin or support")
    assert "/mails/a%2Fb/resend" not in page.links
    assert "Send again: this is for the role admin or support." in page.text
    page = resend_page(sent)
    assert "a***@example.com" in page.text
    assert "ann@example.com" not in page.html
    assert [each["action"] for each in page.all_of("form") if each.get("class") == "act"] == [
        "/mails/a%2Fb/resend"
    ]


@pytest.mark.parametrize(
    "found",
    [
        told(NotificationState.SENT),
        told(NotificationState.WAITING, **KEPT),
        told(NotificationState.RECORDED, **(KEPT | {"recipient": None})),
        told(NotificationState.SENT, resend=Resend(id="2", asked_at=NOW, due=NOW), **KEPT),
    ],
)
def test_of_a_mail_that_cannot_be_sent_once_more_it_is_said_why(found: Notification) -> None:
    with pytest.raises(Refused) as refused:
        check_resendable(found)
    assert [each for each in mails_page(found).links if each.endswith("/resend")] == []
    page = resend_page(found)
    assert f"This cannot be done: {refused.value}." in page.text
    assert not any(each.get("class") == "act" for each in page.all_of("form"))


def test_a_mail_that_is_on_its_way_once_more_says_so() -> None:
    page = mails_page(told(NotificationState.FAILED, resend=Resend(id="2", asked_at=NOW, due=NOW)))
    assert "✖ never sent, and being sent again" in page.text


def test_a_mail_that_was_never_sent_says_why_and_leads_to_its_order() -> None:
    page = mails_page(told(NotificationState.FAILED, reason="550: no such mailbox ann@example.com"))
    assert "a***@example.com ✖ never sent 550: no such mailbox ***" in page.text
    assert "ann@example.com" not in page.html
    assert f"/orders/{ORDER}" in page.links


def test_every_state_of_a_mail_has_a_word_and_a_shape() -> None:
    assert set(mails.SHAPES) == set(NotificationState)
    assert set(mails.STATES) == set(mails.Show) - {mails.Show.LATEST}


def test_what_is_told_to_nobody_is_for_the_staff() -> None:
    page = mails_page(told(NotificationState.RECORDED, recipient=None))
    assert "the shop's staff ○ no mail" in page.text
    assert [each["href"] for each in page.all_of("a") if each.get("aria-current") == "true"] == ["/mails"]


def test_what_others_wrote_into_a_mail_is_text() -> None:
    page = mails_page(told(NotificationState.FAILED, subject=EVIL, reason=EVIL, kind=EVIL, order_id=EVIL))
    assert page.all_of("script") == page.all_of("img") == []
    assert EVIL in page.text


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_mail_has_its_example(language: str) -> None:
    for kind in EXAMPLES:
        found = mails.preview(kind, language)
        assert found is not None
        page = rendered("mail", page=found)
        assert found.subject in page.text
        assert found.alone in page.links
        assert "<html" in str(mails.html_of(kind, language))


@pytest.mark.parametrize(("kind", "language"), [("nothing", "en"), ("paid", "xx"), ("paid", "../../en")])
def test_a_mail_that_there_is_not_has_no_example(kind: str, language: str) -> None:
    assert mails.preview(kind, language) is None
    assert mails.html_of(kind, language) is None


def test_without_a_kind_the_first_is_shown() -> None:
    found = mails.preview("", LANGUAGES[0])
    assert found is not None
    assert found.kind == next(iter(EXAMPLES))


def test_a_list_says_of_an_order_what_its_page_does() -> None:
    desks = (Desk().paid(), Desk().refunded(), Desk().heard("inventory"), Desk().heard("inventory", "orders"))
    for desk in desks:
        marks = desk.marks(after=timedelta(minutes=4))
        told = explain(marks)
        assert glance(marks) == (told.order, told.verdict, told.because, told.missing)
