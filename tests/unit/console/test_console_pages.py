"""What the pages say, in words: each state is told, nothing that comes from outside is markup, no script."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
from msgspec import structs
from pymongo import AsyncMongoClient

import console
from console import (
    bulk,
    curves,
    explained,
    jobs,
    letters,
    orders,
    reading,
    standing,
    templating,
    trail,
    verdicts,
)
from console.commands import page_of
from console.letters import Wanted
from console.orders import Wanted as ThoseOrders
from console.reading import Shop, tried
from console.samples import Samples
from console.settings import ConsoleSettings
from console.standing import Probed
from sagactl.oncall.books import Books
from sagactl.oncall.broker import DeadLetter
from sagactl.oncall.discarded import Discarded
from sagactl.oncall.explain.explaining import explain, glance
from sagactl.oncall.explain.explanation import HopState, Outcome, Preview, Verdict
from sagactl.oncall.explain.marks import Marks
from sagactl.oncall.explain.reading import Reader
from sagactl.oncall.finding import Hit
from sagactl.oncall.jobs.job import Change as Became
from sagactl.oncall.jobs.job import Job, Verb
from sagactl.oncall.jobs.job import Outcome as Ended
from sagactl.oncall.jobs.working import as_chosen
from sagactl.oncall.status.standing import (
    Backlog,
    Depth,
    Part,
    Settling,
    Status,
    Unseen,
    depths,
    problems,
    unbound,
)
from sagactl.oncall.stocking import Buyer, Change, Counters, Offer, Restocking, StockFacts, planned
from sagactl.oncall.trails import Told
from services.inventory.bodies import MOST_AT_ONCE
from services.inventory.moves import MoveKind, Reason
from services.inventory.stock import HOLD, Stock
from services.order.model import Order
from services.order.model import Status as State
from services.shared.contract.audit import Actor, Kind
from services.shared.contract.events import EXCHANGE
from services.shared.contract.topology import Binding, bindings
from services.shared.http.cursors import Cursor
from services.shared.http.rights import Role
from tests.unit.console.pages import NOW, Page, rendered, somebody
from tests.unit.explain.desk import ORDER, Desk

TEMPLATES: Final = Path(console.__file__).parent / "templates"
LONG: Final = timedelta(minutes=4)
ANY: Final = Wanted()
EVIL: Final = "\"'><script>alert(1)</script><img src=x onerror=alert(2)>{{ 7 * 7 }}"


def order_page(marks: Marks, role: Role = Role.ADMIN) -> Page:
    told = explain(marks)
    page = explained.page(told, marks.case, somebody(role))
    return rendered("order", id=ORDER, page=page, said="", trail_rows=(), person=somebody(role), now=marks.at)


def lost() -> Marks:
    return Desk().heard("inventory").marks(after=LONG)


def dead() -> Marks:
    desk = Desk().heard("inventory", "orders", "STOCK_RESERVED")
    return desk.marks(after=LONG, letters=(desk.letter("order-events"),))


# --- an order ---------------------------------------------------------------------------------------------


def test_the_page_of_an_order_says_the_verdict_first_and_then_what_to_do() -> None:
    page = order_page(lost())
    assert "STUCK INVENTORY_RESERVED was never handled by order, and is nowhere" in page.text
    assert page.text.index("STUCK") < page.text.index("What to do") < page.text.index("Messages")
    assert page.commands == [f"sagactl repair {ORDER}"]


def test_what_to_do_leads_to_the_page_where_it_is_done() -> None:
    page = order_page(dead())
    (link,) = [each for each in page.links if each.startswith("/letters/redrive")]
    assert link.startswith("/letters/redrive?queue=order-events&id=")


@pytest.mark.parametrize(
    ("command", "link"),
    [
        ("sagactl explain a/b", "/orders/a%2Fb"),
        ("sagactl orders show a", "/orders/a"),
        ("sagactl orders list --marked", "/orders?show=attention"),
        ("sagactl check --live", "/checks"),
        ("sagactl letters list --queue orders", "/letters?queue=orders"),
        ("sagactl letters show orders a&b", "/letter?queue=orders&id=a%26b"),
        ("sagactl letters redrive orders --id a", "/letters/redrive?queue=orders&id=a"),
        ("sagactl letters discard orders a", "/letters/discard?queue=orders&id=a"),
        ("sagactl stock show a/b", "/products/a%2Fb"),
        ("sagactl repair a/b", "/orders/a%2Fb/repair"),
        ("sagactl letters show orders an id with spaces", ""),
        ("", ""),
    ],
)
def test_commands_have_their_pages(command: str, link: str) -> None:
    assert page_of(command) == link


def test_a_message_that_is_drawn_is_told_below_under_the_same_number() -> None:
    marks = lost()
    page, told = order_page(marks), explain(marks)
    assert [attributes["class"] for attributes in page.all_of("li") if "class" in attributes] == [
        hop.state.value for hop in told.hops
    ]
    for hop in told.hops:
        assert f"{hop.type} {hop.publisher} to {hop.consumer}" in page.text
        assert hop.name in page.text


def test_a_mail_of_the_order_leads_to_where_it_is_sent_once_more() -> None:
    desk = Desk().paid().heard("notifications")
    (told,) = desk.marks(after=LONG).case.notifications
    page = order_page(desk.marks(after=LONG))
    assert page.links.count(f"/mails/{told.id}/resend") == 1


def test_the_drawing_is_hidden_from_those_who_are_read_the_list() -> None:
    (svg,) = order_page(lost()).all_of("svg")
    assert (svg["aria-hidden"], svg["focusable"]) == ("true", "false")


def test_a_dead_letter_says_what_redriving_it_would_do_and_leads_to_it() -> None:
    page = order_page(dead())
    assert "If redriven: CONFIRMED -> PAID, emits ORDER_PAID" in page.text
    assert any(link.startswith("/letter?queue=order-events&id=") for link in page.links)


def test_what_the_table_allows_is_a_link_and_what_it_forbids_is_its_sentence() -> None:
    page = order_page(Desk().paid().marks(after=LONG))
    assert f"/orders/{ORDER}/refund" in page.links
    assert f"/orders/{ORDER}/cancel" not in page.links
    (cancel,) = [each for each in page.all_of("button") if each.get("aria-describedby") == "why-cancel"]
    assert "disabled" in cancel
    forbidden = next(each for each in explain(Desk().paid().marks()).actions if each.name == "cancel")
    assert forbidden.says in page.text


@pytest.mark.parametrize(
    ("role", "sentence"),
    [
        (Role.VIEWER, "this is for the role admin or support"),
        (Role.SUPPORT, None),
        (Role.ADMIN, None),
    ],
)
def test_who_may_not_cancel_is_told_who_may(role: Role, sentence: str | None) -> None:
    page = order_page(Desk().heard("inventory", "orders").marks(waiting={"STOCK_RESERVED": 1}), role)
    assert (f"/orders/{ORDER}/cancel" in page.links) is (sentence is None)
    assert sentence is None or sentence in page.text


def test_each_service_says_what_it_knows() -> None:
    page = order_page(Desk().refunded().marks(after=LONG))
    for words in ("REFUNDED", "2 of lamp: RELEASED", "REFUNDED 20.00 USD", "told ORDER_PAID"):
        assert words in page.text


def test_an_order_that_nobody_knows_has_a_page_that_says_so() -> None:
    marks = structs.replace(lost(), case=structs_case_of_nobody())
    page = order_page(marks)
    assert "UNKNOWN no service knows it" in page.text


def structs_case_of_nobody() -> Any:
    return lost().case._replace(order=None, reservation=None, payment=None, ledger=[], notifications=[])


def test_without_the_broker_the_books_are_still_shown() -> None:
    page = explained.page(None, lost().case, somebody(Role.ADMIN))
    text = rendered(
        "order",
        id=ORDER,
        page=page,
        said="",
        trail_rows=(),
        failed="the broker is away",
        person=somebody(Role.ADMIN),
    ).text
    assert "Some data could not be read. the broker is away" in text
    assert "2 of lamp: HELD" in text


def test_every_state_of_a_message_has_a_word_and_a_shape() -> None:
    assert set(explained.SHAPES) == set(HopState)
    assert len(set(explained.SHAPES.values())) == len(HopState)
    assert set(verdicts.MOODS) == set(verdicts.SHAPES) == set(Verdict)
    assert len(set(verdicts.SHAPES.values())) == len(Verdict)


def test_of_a_customer_the_address_is_shortened() -> None:
    page = order_page(lost())
    assert "a***@example.com" in page.text
    assert "ann@example.com" not in page.html


# --- now --------------------------------------------------------------------------------------------------


def status(**more: Any) -> Status:
    depth = Depth(queue="orders", service="order", messages=3, consumers=0, retrying=1, dead=2)
    found = Status(at=NOW, queues=(depth,), **more)
    return structs.replace(found, problems=tuple(problems(found)))


READY: Final = {"order": Probed(ready=True, version="1.2.3")}


def now_page(found: Status, probed: Mapping[str, Probed | None] | None = None) -> Page:
    page = standing.page(found, READY if probed is None else probed)
    return rendered("now", page=page, trail_rows=(), why_not="")


def test_now_says_what_is_wrong_and_where_to_look_at_it() -> None:
    stuck = Backlog("CONFIRMED", 1, NOW - timedelta(hours=1), ORDER)
    page = now_page(status(orders=(stuck,), marked=4))
    assert "nobody consumes orders, where 3 wait: is order up?" in page.text
    assert {f"/orders/{ORDER}", "/letters?queue=orders", "/orders?show=attention"} <= set(page.links)
    # What is a page here need not be typed.
    assert "sagactl" not in page.text.replace("sagashop console", "")


def test_now_draws_how_its_numbers_went_and_says_it_in_words() -> None:
    seen = [4, None, 9, 2]
    at = [NOW - timedelta(minutes=90 - 30 * number) for number in range(len(seen))]
    samples = [
        curves.Sample(when, 2.0, None, open_, open_, 0, None, 0, 0.25, 0.015)
        for when, open_ in zip(at, seen, strict=True)
    ]
    page = standing.page(status(), READY, samples)
    assert page.curves.open_orders is not None
    assert page.curves.open_orders.says == "2 to 9 in 1 h 30 min"
    # What was not seen is a gap.
    assert [line.count(",") for line in page.curves.open_orders.lines] == [1, 2]
    assert page.curves.letters is None
    text = rendered("now", page=page, trail_rows=(), why_not="")
    labels = [each["aria-label"] for each in text.all_of("svg")]
    assert labels == [
        "2.0 all the time in 1 h 30 min",
        "250 ms all the time in 1 h 30 min",
        "1.5 % all the time in 1 h 30 min",
        "2 to 9 in 1 h 30 min",
        *["0 all the time in 1 h 30 min"] * 2,
    ]


def test_what_was_placed_and_is_not_under_way_any_more_has_come_to_its_end() -> None:
    """Twice as many come in the third half minute as go, and then none."""
    numbers = [(2.0, 10), (2.0, 10), (4.0, 70), (0.0, 10), (None, 10), (1.0, 100)]
    samples = [
        curves.Sample(NOW + timedelta(seconds=30 * at), placed, 0, under_way, 0, 0, 0, 0, None, None)
        for at, (placed, under_way) in enumerate(numbers)
    ]
    assert [curves.ended(*each) for each in pairwise(samples)] == [2.0, 2.0, 2.0, None, 0.0]
    assert curves.ended(samples[0], samples[0]) is None
    drawn = curves.curves(samples, samples[-1].at).ended
    assert drawn is not None
    assert drawn.says == "0.0 to 2.0 in 2 min"
    assert len(drawn.lines) == 2


def test_now_says_how_many_orders_come_and_go_a_second_and_which_share_is_late() -> None:
    waiting = Backlog("CONFIRMED", 8, NOW - timedelta(seconds=2), ORDER)
    going_back = Backlog("REFUNDING", 99, NOW - timedelta(seconds=2), ORDER)
    found = structs.replace(
        status(orders=(waiting, going_back)), placed=12.34, settling=Settling(200, 0.2, late=3)
    )
    assert "orders settled per second not known yet" in now_page(found).text
    sooner = standing.sample(structs.replace(found, at=NOW - timedelta(seconds=40), orders=()))
    later = standing.sample(structs.replace(found, at=NOW - timedelta(seconds=10), orders=()))
    page = standing.page(found, READY, [sooner, later])
    text = rendered("now", page=page, trail_rows=(), why_not="").text
    assert "orders placed per second 12.3 " in text
    # Eight more are under way than 40 s ago. Those whose money goes back have been at their end.
    assert "orders settled per second 12.1 " in text
    assert "orders not settled within 10 s 1.5 % of the latest 200, a minute old" in text


def test_how_many_orders_come_and_go_may_be_unseen() -> None:
    away = tuple(Unseen(part, None, "MongoDB does not answer", 4) for part in (Part.PLACED, Part.SHED))
    text = now_page(structs.replace(status(), placed=None, unseen=away)).text
    assert (
        "orders placed per second ? unseen new orders refused per second ? unseen orders settled per second ?"
        in text
    )


def test_now_says_that_new_orders_are_refused_and_draws_how_many_were() -> None:
    found = status(shed=45)
    page = now_page(found)
    assert "45 new orders refused in the last 30 s: more come than can be served" in page.text
    assert "new orders refused per second 1.5" in page.text
    before = standing.sample(structs.replace(found, at=NOW - timedelta(minutes=1), shed=0))
    drawn = standing.page(found, READY, [before, standing.sample(found)]).curves.shed
    assert drawn is not None
    assert drawn.says == "0.0 to 1.5 in 1 min"


def test_what_somebody_is_not_told_any_more_leads_to_the_check_that_finds_what_was_lost() -> None:
    there = set(bindings()) - {Binding(EXCHANGE, "notifications", "ORDER_PAID")}
    (lacks,) = unbound(depths({"notifications": (0, 2)}), there)
    page = now_page(status(unbound=(lacks,)))
    assert "notifications is not bound to ORDER_PAID" in page.text
    assert "/checks" in page.links


def test_what_is_older_than_two_hours_is_drawn_no_more_and_the_newest_is_at_the_right() -> None:
    minutes = (180, 60, 0)
    samples = [
        curves.Sample(
            NOW - timedelta(minutes=each), None, None, None, 50 if each == 180 else 1, None, 0, 0, None, None
        )
        for each in minutes
    ]
    found = curves.curves(samples, NOW).open_orders
    assert found == curves.Curve(("80.0,2.0 158.0,2.0",), "1 all the time in 1 h")
    assert curves.curves(samples[-1:], NOW) == curves.Curves()


def test_now_says_what_people_did_last_to_who_may_see_it() -> None:
    rows = trail.rows([entry()])
    page = rendered("now", page=standing.page(status(), READY), trail_rows=rows, why_not="")
    assert "order.cancelled" in page.text
    assert "/trail" in page.links
    refused = rendered(
        "now", page=standing.page(status(), READY), trail_rows=(), why_not="this is for the role admin"
    )
    assert "This is for the role admin." in refused.text


async def test_samples_are_taken_again_and_again_and_the_oldest_are_forgotten() -> None:
    asked = 0

    async def look() -> Status:
        nonlocal asked
        asked += 1
        return status()

    found = Samples(look)
    task = asyncio.create_task(found.take())
    while not found.all:
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task})
    assert [each.at for each in found.all] == [NOW] * asked


def test_an_explanation_as_json_is_that_of_sagactl_without_addresses() -> None:
    told = explain(dead())
    found = msgspec.json.decode(explained.as_json(told))
    assert found == msgspec.json.decode(msgspec.json.encode(told, enc_hook=str))
    found = explained.as_json(structs.replace(told, because="ann@example.com waits"))
    assert b"ann@example.com" not in found
    assert b"*** waits" in found


def test_now_says_what_cannot_be_seen_and_shows_the_rest() -> None:
    away = tuple(Unseen(part, None, "the broker does not answer", 4) for part in (Part.QUEUES, Part.MARKED))
    stuck = Backlog("CONFIRMED", 1, NOW - timedelta(hours=1), ORDER)
    page = now_page(structs.replace(status(), queues=None, orders=(stuck,), problems=(), unseen=away))
    assert "queues, marked orders cannot be seen: the broker does not answer" in page.text
    assert "dead letters ? unseen" in page.text
    assert "open orders 1" in page.text
    assert "Nothing is wrong." not in page.text


def test_now_says_that_nothing_is_wrong() -> None:
    fine = structs.replace(status(), queues=(), problems=())
    assert "Nothing is wrong." in now_page(fine).text


def test_now_says_which_services_are_there_and_of_which_release() -> None:
    page = now_page(structs.replace(status(), queues=(), problems=()))
    assert "order ✓ ready 1.2.3" in page.text
    assert "Nothing is wrong." in page.text


def test_a_service_that_is_not_ready_is_a_problem() -> None:
    probed = {"payment": None, "order": Probed(ready=False, version="1.2.3", says="no broker")}
    page = now_page(structs.replace(status(), queues=(), problems=()), probed)
    assert "payment does not answer" in page.text
    assert "order is not ready: no broker" in page.text
    assert "order ‼ not ready 1.2.3 no broker" in page.text
    assert "Nothing is wrong." not in page.text
    assert "#services" in page.links


def test_a_service_that_does_without_something_is_ready_and_says_what() -> None:
    probed = {"order": Probed(ready=True, version="1", says="degraded: the broker is unavailable")}
    page = now_page(structs.replace(status(), queues=(), problems=()), probed)
    assert "order ✓ ready 1 degraded: the broker is unavailable" in page.text
    assert "Nothing is wrong." in page.text


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (Settling(200, 0.214, 0), "settled within 214 ms of the latest 200"),
        (Settling(7, None, 7), "settled within not yet of the latest 7"),
        (None, "settled within no orders"),
    ],
)
def test_now_says_how_long_orders_take(found: Settling | None, words: str) -> None:
    assert words in now_page(structs.replace(status(), settling=found)).text


def test_how_long_orders_take_may_be_unseen() -> None:
    away = (Unseen(Part.SETTLING, None, "MongoDB does not answer", 4),)
    text = now_page(structs.replace(status(), unseen=away)).text
    assert "settled within ? unseen orders not settled within 10 s ? unseen" in text


def test_what_no_page_shows_is_a_command() -> None:
    assert standing.problem("odd. See sagactl keys list") == standing.Problem("odd.", "", "sagactl keys list")
    assert standing.problem("odd.") == standing.Problem("odd.", "", "")


# --- orders -----------------------------------------------------------------------------------------------


def test_a_list_of_orders_has_its_filter_in_its_links() -> None:
    order = Desk().heard("inventory", "orders").one(Order)
    page = orders.page([order], {}, Cursor(NOW, ORDER), ThoseOrders(status=State.CONFIRMED), NOW)
    text = rendered("orders", page=page, blind="")
    assert f"/orders/{ORDER}" in text.links
    assert page.following == f"/orders?status=CONFIRMED&cursor={Cursor(NOW, ORDER).encode()}"
    assert [tab.name for tab in page.tabs if tab.is_here] == ["CONFIRMED"]
    assert "CONFIRMED, in progress" in text.text
    assert "a***@example.com" in text.text


def test_where_there_is_no_order_the_list_says_so() -> None:
    page = orders.page([], {}, None, ThoseOrders(orders.Show.ATTENTION), NOW)
    assert "No orders match." in rendered("orders", page=page, blind="").text


def test_when_orders_were_placed_goes_from_page_to_page_and_into_the_plan_for_all() -> None:
    hour = timedelta(hours=1)
    wanted = ThoseOrders(status=State.PAID, since=NOW - hour)
    page = orders.page([], {}, Cursor(NOW, ORDER), wanted, NOW)
    said = parse_qs(urlsplit(page.following).query)
    assert (said["status"], said["since"]) == (["PAID"], [(NOW - hour).isoformat()])
    plans = {tab.name: urlsplit(tab.link) for tab in page.acts}
    assert plans["refund"].path == "/orders/all/refund"
    # What comes until somebody has looked at the plan is not among them.
    assert parse_qs(plans["refund"].query)["until"] == [NOW.isoformat()]
    text = rendered("orders", page=page, blind="")
    assert (NOW - hour).isoformat() in [str(each.get("value")) for each in text.all_of("input")]
    for tab in page.tabs:
        assert parse_qs(urlsplit(tab.link).query)["since"] == [(NOW - hour).isoformat()]


@pytest.mark.parametrize("wanted", [ThoseOrders(), ThoseOrders(until=NOW)])
def test_every_order_there_is_can_not_be_acted_on(wanted: ThoseOrders) -> None:
    assert wanted.is_empty
    assert orders.page([], {}, None, wanted, NOW).acts == ()
    page = all_page(wanted)
    assert "This would be every order of the shop" in page.text
    assert not [each for each in page.all_of("form") if each.get("class") == "act"]


def some_orders() -> list[Order]:
    confirmed: Order = Desk().heard("inventory", "orders").one(Order)
    paid: Order = Desk().paid().one(Order)
    return [
        *(structs.replace(confirmed, id=f"order-{number}") for number in range(3)),
        structs.replace(paid, id="order-paid"),
    ]


def all_page(wanted: ThoseOrders, some: Sequence[Order] = (), **more: Any) -> Page:
    plan = bulk.plan(more.pop("verb", bulk.Verb.CANCEL), wanted, some, NOW)
    usual = {"plan": plan, "at_most": bulk.AT_MOST, "why_not": "", "refusal": "", "reason": "", "key": "k"}
    return rendered("act_on_orders", **(usual | more))


def test_a_plan_for_all_says_with_how_many_what_and_why_not_with_the_others() -> None:
    wanted = ThoseOrders(since=NOW - timedelta(days=1))
    page = all_page(wanted, some_orders())
    assert "Cancel 3 orders" in page.text
    assert "3 \N{MULTIPLICATION SIGN} CONFIRMED -> CANCELLED" in page.text
    assert "1 \N{MULTIPLICATION SIGN} " in page.text.partition("do not change")[2]
    (form,) = [each for each in page.all_of("form") if each.get("class") == "act"]
    assert str(form["action"]).startswith("/orders/all/cancel?since=")
    refused = all_page(wanted, some_orders(), why_not="this is for the role admin")
    assert "This cannot be done: this is for the role admin." in refused.text
    assert not [each for each in refused.all_of("form") if each.get("class") == "act"]


def test_of_more_orders_than_anybody_looks_at_there_is_no_plan() -> None:
    (order, *_) = some_orders()
    many = [structs.replace(order, id=f"order-{number}") for number in range(bulk.AT_MOST + 1)]
    page = all_page(ThoseOrders(status=State.CONFIRMED), many)
    assert "More than 500 orders match" in page.text
    assert not [each for each in page.all_of("form") if each.get("class") == "act"]
    some = all_page(ThoseOrders(status=State.CONFIRMED), many[:-1])
    assert f"And {bulk.AT_MOST - bulk.SHOWN_AT_MOST} more." in some.text


def test_orders_in_another_state_are_others() -> None:
    some = some_orders()
    moved = [structs.replace(some[0], status=State.PAID), *some[1:]]
    assert len({bulk.digest_of(each) for each in (some, some[1:], moved)}) == 3
    assert bulk.digest_of(some) == bulk.digest_of(some[::-1])


def test_a_job_with_orders_has_those_that_the_table_allows_and_a_key_for_each() -> None:
    job = bulk.job("job-1", bulk.Verb.REFUND, some_orders(), "because", NOW)
    assert [(step.order, step.status) for step in job.steps] == [("order-paid", State.PAID)]
    assert job.key_of("a") == job.key_of("a") != job.key_of("b")
    done = job.after([bulk.Change(0, bulk.Outcome.REFUSED, "no")])
    assert (done.is_over, done.steps[0].why) == (True, "no")
    page = orders_job_page(done, is_open=False)
    assert "Job: refund orders" in page.text
    assert "1 refused" in page.text
    assert "/orders/order-paid" in page.links


def orders_job_page(job: bulk.OrderJob, **more: Any) -> Page:
    usual: dict[str, Any] = {"is_open": True, "trouble": ""}
    why_not = more.pop("why_not", "")
    return rendered("job", page=jobs.page(job, Actor("eve", Kind.USER), **(usual | more)), why_not=why_not)


def test_who_may_goes_on_with_a_job_whose_login_is_gone() -> None:
    job = bulk.job("job-1", bulk.Verb.CANCEL, some_orders(), "because", NOW)

    def goes_on(page: Page) -> bool:
        return any(str(each.get("action")).endswith("/go-on") for each in page.all_of("form"))

    assert not goes_on(orders_job_page(job))
    assert goes_on(orders_job_page(job, waits=True))
    refused = orders_job_page(job, waits=True, why_not="this is for the role admin")
    assert "Continue: this is for the role admin." in refused.text
    assert not goes_on(refused)


def sight_in_the_list(marks: Marks) -> str:
    order = marks.case.order
    assert order is not None
    page = orders.page([order], {ORDER: glance(marks)}, None, ThoseOrders(), NOW)
    text = rendered("orders", page=page, blind="").text
    return text.partition(f"{ORDER} ")[2]


def test_a_list_of_orders_says_of_each_the_verdict_of_one_look() -> None:
    assert "✖ attention" not in sight_in_the_list(dead())
    assert "‼ stuck INVENTORY_RESERVED" not in sight_in_the_list(dead())
    assert "‼ stuck PAYMENT_SUCCEEDED is a dead letter of order-events: " in sight_in_the_list(dead())
    assert "PAID ✓ settled " in sight_in_the_list(Desk().paid().marks(after=LONG))


def test_what_one_look_calls_missing_is_in_doubt_in_a_list() -> None:
    assert "‼ perhaps stuck INVENTORY_RESERVED was never handled by order" in sight_in_the_list(lost())


def test_where_nobody_could_look_a_list_says_so_and_shows_the_orders() -> None:
    order = Desk().heard("inventory", "orders").one(Order)
    page = orders.page([order], {}, None, ThoseOrders(), NOW)
    text = rendered("orders", page=page, blind="the broker does not answer").text
    assert "Some data could not be read. the broker does not answer" in text
    assert "CONFIRMED, in progress ? unseen" in text


async def test_a_page_does_not_wait_for_ever_for_a_server_that_is_frozen() -> None:
    assert await tried(asyncio.sleep(60), 0.01) == (None, "no answer within 0.01 seconds")


@pytest.mark.parametrize("name", ["act", "sweep", "act_on_orders", "act_on_letters", "found"])
def test_what_could_not_be_read_is_not_said_to_be_nothing(name: str) -> None:
    plans = {
        "act_on_orders": bulk.plan(bulk.Verb.CANCEL, ThoseOrders(status=State.PAID), (), NOW),
        "act_on_letters": letters.plan(Verb.REDRIVE, Wanted(queue="orders"), (), ()),
    }
    more: dict[str, Any] = {
        "plan": plans.get(name),
        "offer": None,
        "action": "cancel",
        "id": ORDER,
        "state": "",
        "key": "",
    }
    more |= {
        "why_not": "",
        "reason": "",
        "refusal": "MongoDB does not answer",
        "at_most": 500,
        "hits": (),
        "q": "x",
    }
    text = rendered(name, failed="MongoDB does not answer", **more).text
    assert "MongoDB does not answer" in text
    for said in ("does not know", "no order now", "no such", "Nobody", " 0 "):
        assert said not in text


async def test_a_list_does_not_wait_for_a_broker_that_takes_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    async def look(*_: object) -> None:
        await asyncio.sleep(60)

    monkeypatch.setattr(reading, "SIGHT_SECONDS", 0.01)
    monkeypatch.setattr(Reader, "at_first_sight", look)
    async with AsyncMongoClient[dict[str, Any]](connect=False) as nobody:
        shop = Shop(ConsoleSettings().access, Books(nobody), None, "")
        found = await tried(shop.verdicts([Desk().paid().one(Order)]))
    assert found == (None, reading.NO_SIGHT)


def test_a_list_and_the_page_of_an_order_hide_addresses_in_reasons() -> None:
    desk = Desk().heard("inventory", "orders", "STOCK_RESERVED")
    mail = desk.letter("order-events")._replace(reason="failed: 550 ann@example.com")
    marks = desk.marks(after=LONG, letters=(mail,))
    assert "failed: 550 ***" in sight_in_the_list(marks)
    page = order_page(marks)
    assert "failed: 550 ***" in page.text
    assert "ann@example.com" not in page.html


# --- traces -----------------------------------------------------------------------------------------------

TRACE: Final = "0af7651916cd43dd8448eb211c80319c"
JAEGER: Final = "https://jaeger.example.com"


@pytest.mark.parametrize(("jaeger", "links"), [("", []), (JAEGER, [f"{JAEGER}/trace/{TRACE}"])])
def test_a_trace_is_a_link_where_jaeger_has_pages(jaeger: str, links: list[str]) -> None:
    desk = Desk().paid()
    history = tuple(structs.replace(each, trace_id=TRACE) for each in desk.one(Order).history)
    desk.change(Order, history=history)
    marks = desk.marks(after=LONG)
    page = explained.page(explain(marks), marks.case, somebody(Role.ADMIN), jaeger)
    text = rendered("order", id=ORDER, page=page, said="", trail_rows=())
    assert [each for each in text.links if TRACE in each] == links
    assert text.text.count(TRACE) == 1
    dead_one = letters.one(letter(1, trace=f"00-{TRACE}-b7ad6b7169203331-01"), None, jaeger)
    text = rendered("letter", id="x", page=dead_one, why_not="")
    assert [each for each in text.links if TRACE in each] == links


@pytest.mark.parametrize("trace", ["", EVIL, f"00-{TRACE}", f"00-{TRACE}/../x-b7ad6b7169203331-01"])
def test_what_is_no_trace_is_no_link(trace: str) -> None:
    page = rendered("letter", id="x", page=letters.one(letter(1, trace=trace), None, JAEGER), why_not="")
    assert not any(JAEGER in link for link in page.links)


@pytest.mark.parametrize("url", ["javascript:alert(1)", "jaeger", "//jaeger", "https://"])
def test_where_jaeger_is_has_to_be_the_address_of_a_page(url: str) -> None:
    with pytest.raises(ValueError, match="JAEGER_URL"):
        ConsoleSettings(jaeger_url=url)
    assert ConsoleSettings(jaeger_url=f"{JAEGER}/").jaeger_url == JAEGER


# --- letters ----------------------------------------------------------------------------------------------


def letter(number: int, **more: Any) -> DeadLetter:
    usual: dict[str, Any] = {
        "queue": "orders",
        "id": f"{number:08x}-0000-5000-8000-000000000000",
        "subject": f"order-{number}",
        "type": "INVENTORY_RESERVED",
        "kind": "failed",
        "reason": f"no column {number} of ann@example.com",
        "attempts": 4,
        "first_failed_at": f"2026-01-01T12:00:0{number}+00:00",
        "trace": "",
        "body": b'{"paymentToken": "tok_1", "email": "ann@example.com"}',
    }
    return DeadLetter(**(usual | more))


def letters_page(some: Sequence[DeadLetter], wanted: Wanted = ANY) -> Page:
    return rendered("letters", page=letters.page(some, wanted, ["orders"]), said="", why_not="")


def letter_page(one: DeadLetter, preview: Preview | None = None) -> Page:
    return rendered("letter", id=one.id, page=letters.one(one, preview), why_not="")


def test_letters_of_one_cause_are_together_the_most_first() -> None:
    some = [letter(1), letter(2), letter(3), letter(4, kind="invalid")]
    page = letters.page(some, Wanted(), ["orders"])
    assert [(group.kind, len(group.rows), group.reason) for group in page.groups] == [
        ("failed", 3, "no column … of ***"),
        ("invalid", 1, "no column … of ***"),
    ]
    text = rendered("letters", page=page, said="", why_not="").text
    assert "3 \N{MULTIPLICATION SIGN} INVENTORY_RESERVED in orders" in text
    assert "4 letters." in text


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Wanted(), 2),
        (Wanted(queue="orders"), 1),
        (Wanted(kind="invalid"), 1),
        (Wanted(type="ORDER_PAID"), 1),
        (Wanted(text="order-2"), 1),
        (Wanted(queue="orders", kind="invalid"), 0),
    ],
)
def test_letters_are_those_of_which_all_is_true_that_is_asked_for(wanted: Wanted, found: int) -> None:
    some = [letter(1), letter(2, queue="notifications", kind="invalid", type="ORDER_PAID")]
    assert letters.page(some, wanted, ["orders"]).number == found


def test_a_letter_shows_neither_secrets_nor_addresses() -> None:
    text = letter_page(letter(1), Preview(Outcome.APPLIES, "PENDING -> CONFIRMED", ("ORDER_CONFIRMED",)))
    assert "tok_1" not in text.html
    assert "ann@example.com" not in text.html
    assert "PENDING -> CONFIRMED, emits ORDER_CONFIRMED" in text.text


def test_a_letter_about_a_product_leads_to_no_order() -> None:
    page = letters.one(letter(1, type="PRODUCT_CREATED"), None)
    assert page.row.order == ""
    assert "not known in advance" in letter_page(letter(1, type="PRODUCT_CREATED")).text


def test_what_is_to_become_of_letters_is_planned_for_one_and_for_all_that_are_alike() -> None:
    one, alike = letter_page(letter(1)), letters_page([letter(1), letter(2)])
    assert f"/letters/redrive?queue=orders&id={letter(1).id}" in one.links
    assert "/letters/discard?queue=orders&kind=failed&type=INVENTORY_RESERVED" in alike.links


def test_several_letters_are_chosen_one_by_one_of_those_that_are_alike() -> None:
    some = [letter(1), letter(2), letter(3, queue="notifications")]
    page = letters_page(some)
    boxes = [each for each in page.all_of("input") if each.get("type") == "checkbox"]
    # One alone needs no choice.
    assert [(each["name"], each["value"]) for each in boxes] == [("id", some[0].id), ("id", some[1].id)]
    assert [each["aria-label"] for each in boxes] == [f"Select {each.id}" for each in some[:2]]
    assert [each["formaction"] for each in page.all_of("button") if "formaction" in each] == [
        "/letters/discard"
    ]


def test_who_may_not_redrive_chooses_nothing() -> None:
    page = rendered(
        "letters", page=letters.page([letter(1), letter(2)], ANY, []), why_not="this is for the role admin"
    )
    assert not [each for each in page.all_of("input") if each.get("type") == "checkbox"]


def test_what_is_chosen_is_in_the_address_of_its_plan_and_of_its_form() -> None:
    wanted = Wanted(queue="orders", ids=(letter(1).id, EVIL))
    some = [each for each in (letter(1), letter(2)) if wanted.fits(each)]
    plan = letters.plan(Verb.DISCARD, wanted, some, [])
    page = rendered("act_on_letters", plan=plan, why_not="", refusal="", reason="", key="k")
    assert "Discard 1 letter of orders" in page.text
    assert "1 of the selected letters is no longer a dead letter." in page.text
    (form,) = [each for each in page.all_of("form") if each.get("class") == "act"]
    query = parse_qs(urlsplit(str(form["action"])).query)
    assert query == {"queue": ["orders"], "id": [letter(1).id, EVIL]}


def test_nothing_chosen_is_not_everything() -> None:
    assert letters.chosen(None) is None
    assert letters.chosen(["", "1", "1"]) == ("1",)
    nothing = Wanted(queue="orders", ids=letters.chosen([""]))
    assert letters.page([letter(1)], nothing, []).number == 0
    assert letters.link_to_plan(Verb.REDRIVE, nothing) == "/letters/redrive?queue=orders&id="
    plan = letters.plan(Verb.REDRIVE, nothing, [], [])
    page = rendered("act_on_letters", plan=plan, why_not="", refusal="", reason="", key="k")
    assert "No letter is selected" in page.text
    assert not [each for each in page.all_of("form") if each.get("class") == "act"]


def test_who_may_not_redrive_is_told_who_may() -> None:
    page = rendered("letter", id="x", page=letters.one(letter(1), None), why_not="this is for the role admin")
    assert "Redrive, discard: this is for the role admin." in page.text
    assert not any(link.startswith("/letters/") for link in page.links)


def test_a_plan_tells_how_many_and_what_the_rules_would_say_of_them() -> None:
    applies, nothing = Preview(Outcome.APPLIES, "PENDING -> CONFIRMED"), Preview(Outcome.NOTHING, "nothing")
    previews = [applies, nothing, applies]
    plan = letters.plan(Verb.REDRIVE, Wanted(queue="orders"), [letter(1), letter(2)], previews)
    page = rendered("act_on_letters", plan=plan, why_not="", refusal="", reason="", key="k")
    assert "Redrive 2 letters of orders" in page.text
    assert "2 \N{MULTIPLICATION SIGN} PENDING -> CONFIRMED" in page.text


def test_the_same_letters_in_any_order_are_the_same_and_others_are_not() -> None:
    some = [letter(1), letter(2)]
    assert letters.digest(some) == letters.digest(some[::-1])
    assert len({letters.digest(each) for each in ([], some, some[:1], [letter(1), letter(3)])}) == 4


def test_a_plan_for_very_many_shows_the_first_and_counts_them_all() -> None:
    many = [letter(number) for number in range(letters.SHOWN_AT_MOST + 5)]
    plan = letters.plan(Verb.DISCARD, Wanted(queue="orders"), many, [])
    page = rendered("act_on_letters", plan=plan, why_not="", refusal="", reason="", key="k")
    assert f"Discard {len(many)} letters of orders" in page.text
    assert "And 5 more." in page.text
    assert len(page.all_of("tr")) == letters.SHOWN_AT_MOST + 1


# --- letters that were discarded ---------------------------------------------------------------------------


def put_away(number: int, **more: Any) -> Discarded:
    usual: dict[str, Any] = {
        "id": f"place-{number}",
        "queue": "orders",
        "message": f"{number}",
        "type": "INVENTORY_RESERVED",
        "correlation_id": "01a218bf-7f4d-77c0-98de-9be3a58847cd",
        "timestamp": None,
        "headers": {"x-error-kind": "failed", "x-error": "no column"},
        "body": b"",
        "by": Actor("eve", Kind.USER),
        "reason": "of another system",
        "at": NOW,
    }
    return Discarded(**(usual | more))


def discarded_page(some: Sequence[Discarded], wanted: Wanted = ANY, *, why_not: str = "") -> Page:
    page = letters.discards(some, wanted, ["orders", "notifications"])
    return rendered("discarded", page=page, days=30, at_most=None, why_not=why_not)


def test_who_discarded_a_letter_when_and_why_is_told_by_queue() -> None:
    page = discarded_page([put_away(1), put_away(2, queue="notifications"), put_away(3)])
    assert "3 letters." in page.text
    assert "2 of orders" in page.text
    assert "user eve of another system" in page.text
    assert "Each is kept for 30 days" in page.text
    boxes = [each["value"] for each in page.all_of("input") if each.get("type") == "checkbox"]
    assert boxes == ["1", "3", "2"]
    assert "/letters/restore?queue=orders" in page.links


def test_of_those_that_were_discarded_the_filter_goes_into_the_plan_for_all() -> None:
    some = [put_away(1), put_away(2, type="ORDER_PAID")]
    page = discarded_page(some, Wanted(type="ORDER_PAID"))
    assert "1 letter." in page.text
    assert "/letters/restore?queue=orders&type=ORDER_PAID" in page.links


def test_who_may_not_restore_is_told_who_may() -> None:
    page = discarded_page([put_away(1)], why_not="this is for the role admin")
    assert "Restore: this is for the role admin." in page.text
    assert not [each for each in page.all_of("input") if each.get("type") == "checkbox"]
    assert not any(link.startswith("/letters/restore") for link in page.links)


def test_a_plan_to_restore_leads_back_to_those_that_were_discarded() -> None:
    wanted = Wanted(queue="orders", ids=("1", "2"))
    plan = letters.plan(Verb.RESTORE, wanted, [put_away(1).letter], [])
    page = rendered("act_on_letters", plan=plan, why_not="", refusal="", reason="", key="k")
    assert "Restore 1 letter of orders" in page.text
    assert "1 of the selected letters is no longer a discarded letter." in page.text
    assert "/letters/discarded" in page.links
    assert not any(link.startswith("/letter?") for link in page.links)


def test_a_letter_is_linked_while_it_is_a_dead_one() -> None:
    for verb, outcome, is_linked in (
        (Verb.DISCARD, Ended.PLANNED, True),
        (Verb.DISCARD, Ended.DISCARDED, False),
        (Verb.RESTORE, Ended.PLANNED, False),
        (Verb.RESTORE, Ended.RESTORED, True),
    ):
        planned_ = jobs.planned("job-1", verb, [as_chosen(letter(1))], "because", NOW)
        page = job_page(planned_.after([Became(0, outcome, NOW)]))
        assert any(link.startswith("/letter?") for link in page.links) is is_linked, (verb, outcome)
        assert f"Job: {verb} {verb.noun}s" in page.text


# --- jobs --------------------------------------------------------------------------------------------------


def job_of(*some: DeadLetter | str) -> Job:
    """Of these letters; the last may be the reason."""
    reason = some[-1] if isinstance(some[-1], str) else "because"
    chosen = [as_chosen(each) for each in some if isinstance(each, DeadLetter)]
    return jobs.planned("job-1", Verb.REDRIVE, chosen, reason, NOW)


def job_page(job: Job, *, by: str = "eve", why_not: str = "", **more: Any) -> Page:
    usual: dict[str, Any] = {"is_open": True, "trouble": ""}
    page = jobs.page(job, Actor(by, Kind.USER), **(usual | more))
    return rendered("job", page=page, why_not=why_not)


def stops(page: Page) -> bool:
    return any(str(each.get("action")).endswith("/stop") for each in page.all_of("form"))


def test_a_job_that_is_under_way_can_be_stopped_by_who_may() -> None:
    job = job_of(letter(1))
    assert stops(job_page(job))
    assert not stops(job_page(job, is_open=False))
    refused = job_page(job, why_not="this is for the role admin")
    assert "Stop: this is for the role admin." in refused.text
    assert not stops(refused)


def test_a_job_that_was_stopped_says_who_stopped_it() -> None:
    job = job_of(letter(1))
    for is_open in (True, False):
        page = job_page(job, is_open=is_open, stopped_by="ann")
        assert "ann stopped it" in page.text
        assert ("It is stopping" in page.text) is is_open
        assert not stops(page)


def test_a_job_tells_what_became_of_each_letter_and_first_of_those_that_came_to_nothing_good() -> None:
    some = [letter(number) for number in range(3)]
    changes = [Became(0, Ended.HANDLED, NOW), Became(2, Ended.DEAD, NOW, "failed: again")]
    job = job_of(*some).after(changes)
    found = jobs.page(job, Actor("eve", Kind.USER), is_open=True, trouble="")
    assert [row.letter.id for row in found.rows] == [some[1].id, some[2].id, some[0].id]
    page = job_page(job)
    assert "1 planned" in page.text
    assert "1 handled" in page.text
    assert "✖ dead again failed: again" in page.text
    assert "It is under way: refresh" in page.text
    assert f"/letter?queue=orders&id={some[2].id}" in page.links
    # What was handled is no dead letter any more.
    assert f"/letter?queue=orders&id={some[0].id}" not in page.links


def test_a_job_that_is_over_says_no_more_and_one_that_stands_still_says_why() -> None:
    assert "under way" not in job_page(job_of(letter(1)), is_open=False).text
    text = job_page(job_of(letter(1)), trouble="the broker does not answer").text
    assert "It is interrupted, and will continue by itself: the broker does not answer" in text


def test_very_many_letters_of_a_job_are_counted_and_the_first_are_shown() -> None:
    page = job_page(job_of(*(letter(number) for number in range(jobs.SHOWN_AT_MOST + 7))))
    assert f"{jobs.SHOWN_AT_MOST + 7} planned" in page.text
    assert "And 7 more." in page.text


def test_jobs_are_listed_with_who_began_them_and_why() -> None:
    rows = [jobs.summary(job_of(letter(1)), Actor("eve", Kind.USER), is_open=True)]
    page = rendered("jobs", rows=rows)
    assert "/jobs/job-1" in page.links
    for words in ("Redrive", "under way", "1 planned", "eve", "because"):
        assert words in page.text
    assert "There are none." in rendered("jobs", rows=[]).text


# --- the trail ---------------------------------------------------------------------------------------------


def entry(**more: Any) -> Told:
    usual = {
        "_id": "1",
        "at": NOW - timedelta(hours=1),
        "action": "order.cancelled",
        "outcome": "done",
        "actor": {"id": "eve", "kind": "user", "roles": ["admin"]},
        "subject": ORDER,
        "address": "192.0.2.1",
        "detail": "20.00 USD",
        "reason": "ann@example.com called",
    }
    return Told("order", usual | more)


def test_the_trail_says_who_did_what_and_leads_to_the_order() -> None:
    found = trail.page([entry(), entry(action="login", outcome="refused", subject="ann")], trail.Wanted())
    page = rendered("trail", page=found, why_not="")
    assert "order.cancelled ✓ done" in page.text
    assert "login ✖ refused" in page.text
    assert "user eve (admin)" in page.text
    assert page.links.count(f"/orders/{ORDER}") == 1

    assert "20.00 USD; *** called" in page.text


def test_the_trail_leads_to_the_job_that_it_tells_of() -> None:
    found = trail.page([entry(action="letters.redriven", subject="job job-1")], trail.Wanted())
    assert "/jobs/job-1" in rendered("trail", page=found, why_not="").links


def test_what_another_release_wrote_on_the_trail_is_shown_as_it_is() -> None:
    odd = Told("order", {"_id": "1", "action": 7, "outcome": "perhaps", "actor": None})
    (row,) = trail.rows([odd])
    assert (row.action, row.mood, row.link) == ("7", "doubtful", "")


def test_who_may_not_see_the_trail_is_told_who_may() -> None:
    page = rendered("trail", page=None, why_not="this is for the role admin")
    assert "This cannot be shown: this is for the role admin." in page.text
    assert page.all_of("table") == []


# --- a product --------------------------------------------------------------------------------------------


LAMP: Final = Stock(id="lamp", created=False).created_with(5).restocked_by(3).adjusted_by(-1).moved(HOLD, 2)
LAMP_FACTS: Final = StockFacts(
    product="lamp",
    at=NOW,
    offer=Offer("Lamp", "10.00", "EUR", deleted=False),
    stock=Counters.of(LAMP),
    open_orders=(Buyer("order-1", State.CONFIRMED, 2, NOW - timedelta(seconds=61)),),
)
BROKEN: Final = Change(
    id="1",
    kind=MoveKind.ADJUST,
    delta=-1,
    reason=Reason.DAMAGED,
    note="dropped",
    by="eve",
    at=NOW,
    revision=3,
)


def product_page(found: StockFacts, *changes: Change) -> Page:
    return rendered(
        "product", page=found, changes=changes, now=found.at, said="", why_not="", most=MOST_AT_ONCE
    )


def test_a_product_is_told_with_what_came_who_has_it_and_what_people_said() -> None:
    page = product_page(LAMP_FACTS, BROKEN)
    for words in (
        "available 5 reserved 2 sold 0",
        "10.00 EUR",
        "5 initially, +3 restocked, -1 counted",
        "CONFIRMED 1 min 1 s ago 2",
        f"{MoveKind.ADJUST} -1 {Reason.DAMAGED}: dropped eve",
    ):
        assert words in page.text
    assert "/orders/order-1" in page.links


def test_what_only_one_service_knows_of_a_product_is_said_so() -> None:
    of_nobody = structs.replace(LAMP_FACTS, stock=None, open_orders=())
    text = product_page(of_nobody).text
    assert "Inventory does not have this product." in text
    assert "available" not in text
    assert "None." in text
    assert (
        "The catalogue does not have this product."
        in product_page(structs.replace(LAMP_FACTS, offer=None)).text
    )


# --- what was found ---------------------------------------------------------------------------------------


def test_what_was_found_leads_to_its_page_where_it_has_one() -> None:
    order = Hit("order PAID", ORDER, "the order itself", f"sagactl explain {ORDER}", NOW)
    product = Hit("product", "lamp", "3 available", "sagactl stock show lamp")
    page = rendered("found", q="x", hits=[(each, page_of(each.command)) for each in (order, product)])
    assert {f"/orders/{ORDER}", "/products/lamp"} <= set(page.links)
    assert "2 hits for x" in page.text
    assert "product lamp : 3 available" in page.text


# --- all of them ------------------------------------------------------------------------------------------


def restock_page(plan: Restocking) -> Page:
    return rendered(
        "restock", id=plan.product, pieces=plan.pieces, plan=plan, why_not="", refusal="", reason="", key="1"
    )


def test_a_restocking_is_a_plan_and_a_form_or_the_sentence_why_not() -> None:
    lamp = Stock(id="lamp", available=10, initial=10, created=True)
    page = restock_page(planned(lamp, 1, NOW))
    assert "1 piece more: 10 -> 11 available ." in page.text
    assert [each["action"] for each in page.all_of("form") if each.get("class") == "act"] == [
        "/products/lamp/restock"
    ]
    page = restock_page(planned(structs.replace(lamp, discontinued=True), 1, NOW))
    assert "This cannot be done: " in page.text
    assert [each for each in page.all_of("form") if each.get("class") == "act"] == []


def evil_pages() -> Sequence[Page]:
    """With what others may write wherever they can."""
    evil = letter(1, **dict.fromkeys(("id", "subject", "type", "reason", "trace", "first_failed_at"), EVIL))
    evil = evil._replace(body=EVIL.encode())
    desk = Desk().paid()
    order = structs.replace(desk.one(Order), email=f"{EVIL}@x.example", customer_id=EVIL, refund_reason=EVIL)
    lines = tuple(structs.replace(line, name=EVIL, product_id=EVIL) for line in order.lines)
    history = tuple(structs.replace(each, reason=EVIL) for each in order.history)
    desk.change(Order, email=order.email, customer_id=EVIL, lines=lines, history=history)
    return [
        order_page(desk.marks(after=LONG)),
        letters_page([evil], Wanted(text=EVIL)),
        letter_page(evil, Preview(Outcome.FAILS, EVIL, (EVIL,))),
        discarded_page([put_away(1, type=EVIL, reason=EVIL, message=EVIL, correlation_id=EVIL)]),
        rendered(
            "act_on_letters",
            plan=letters.plan(Verb.REDRIVE, Wanted(queue=EVIL, ids=(EVIL,)), [evil], []),
            why_not="",
            refusal=EVIL,
            reason=EVIL,
            key="k",
        ),
        job_page(job_of(evil, EVIL), by=EVIL, trouble=EVIL, stopped_by=EVIL),
        all_page(ThoseOrders(status=State.CONFIRMED), [order], refusal=EVIL, reason=EVIL),
        orders_job_page(bulk.job(EVIL, bulk.Verb.CANCEL, [order], EVIL, NOW), waits=True),
        product_page(
            structs.replace(LAMP_FACTS, product=EVIL, offer=Offer(EVIL, "1.00", "EUR", deleted=True)),
            structs.replace(BROKEN, note=EVIL, by=EVIL),
        ),
        rendered("found", q=EVIL, hits=[]),
        rendered("error", title="No", detail=EVIL, request_id=EVIL),
        rendered("signin", refusal=EVIL, next=EVIL, email=EVIL, person=None),
        rendered("elsewhere", next=EVIL, person=None),
        rendered("act", id=EVIL, action="cancel", offer=None, refusal=EVIL, key="", state="", reason=EVIL),
    ]


@pytest.mark.parametrize("number", range(14))
def test_what_comes_from_outside_is_text(number: int) -> None:
    page = evil_pages()[number]
    assert page.all_of("script") == []
    assert page.all_of("img") == []
    values = [value for _, attributes in page.elements for value in attributes.values() if value]
    assert any(EVIL in each for each in (page.text, *values))
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)


@pytest.mark.parametrize("file", sorted(TEMPLATES.glob("*.html")), ids=lambda file: file.name)
def test_no_template_has_a_script_a_style_or_markup_that_is_believed(file: Path) -> None:
    text = file.read_text()
    assert not re.search(r"<script|<style|\sstyle=|\son\w+=|javascript:", text)
    assert not re.search(r"\|\s*safe\b|autoescape|Markup", text)


@pytest.mark.parametrize("number", range(16))
def test_every_field_has_a_label_and_every_id_is_there_once(number: int) -> None:
    page = [order_page(dead()), now_page(status()), *evil_pages()][number]
    ids = [str(attributes["id"]) for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    labels = {attributes["for"] for attributes in page.all_of("label")}
    fields = [*page.all_of("input"), *page.all_of("select")]
    named = [each for each in fields if each.get("type") != "hidden" and not each.get("aria-label")]
    assert {each["id"] for each in named} == labels
    for _, attributes in page.elements:
        for name in ("aria-labelledby", "aria-describedby"):
            assert attributes.get(name) in {None, *ids}


def test_what_a_template_does_not_know_is_an_error() -> None:
    with pytest.raises(Exception, match="is undefined"):
        templating.render("error", title="x", detail="y")
