"""What a live check found, and what would mend an order, as their pages tell of it."""

from datetime import timedelta
from typing import Any, Final

from msgspec import structs

from console import checks, commands, repairs
from sagactl.oncall.invariants import Finding, Invariant
from sagactl.oncall.repair.plan import Compensate, Ends, Plan, Redrive, SendAgain
from sagactl.oncall.report import Report, Verdict
from tests.unit.console.pages import NOW, Page, rendered
from tests.unit.console.test_console_pages import EVIL
from tests.unit.explain.desk import ORDER

MONEY: Final = Finding(Invariant.MONEY_AGREES, ORDER, "the gateway made 2 captures for ann@example.com")
STOCK: Final = Finding(Invariant.STOCK_CONSERVED, "lamp", "4 pieces are there, but 5 came")
WAITING: Final = Finding(Invariant.EXPLAINED, "a letter", "is dead", waiting=True)
COUNTED: Final = {each: f"{each} things" for each in Invariant}


def done(*found: Finding, **more: Any) -> checks.Done:
    report = Report(COUNTED, found, (), 7)
    return structs.replace(checks.done(report, "eve", None, NOW - timedelta(seconds=40), NOW), **more)


def checks_page(kept: checks.Kept, why_not: str = "") -> Page:
    return rendered(
        "checks",
        kept=kept,
        is_going=kept.is_going(NOW),
        page=checks.page(kept.done) if kept.done else None,
        choices=checks.WITHIN,
        why_not=why_not,
    )


def going(seconds_ago: float) -> checks.Going:
    at = NOW - timedelta(seconds=seconds_ago)
    return checks.Going(
        by="eve", begun_at=at, held_at=at, holder="1", since=None, so_far="orders so far: 500"
    )


def can_be_begun(page: Page) -> bool:
    return any(each.get("action") == checks.PATH for each in page.all_of("form"))


def test_a_check_that_found_nothing_says_that_all_holds() -> None:
    page = checks_page(checks.Kept(done=done()))
    assert "HOLDS Every invariant holds." in page.text
    assert "I3 MONEY_AGREES our payments are the gateway's" in page.text
    assert "Findings" not in page.text


def test_a_finding_leads_to_what_it_is_about_and_to_what_mends_it() -> None:
    page = checks_page(checks.Kept(done=done(WAITING, STOCK, MONEY)))
    assert "BROKEN Broken: no message that is on its way can put this right." in page.text
    assert {f"/orders/{ORDER}", f"/orders/{ORDER}/repair", "/products/lamp", "/find?q=a+letter"} <= set(
        page.links
    )
    assert "/products/lamp/repair" not in page.links
    # What no message cures comes first; and no customer is named.
    assert page.text.index("5 came") < page.text.index("is dead")
    assert "ann@example.com" not in page.html


def test_what_messages_may_cure_is_not_called_broken() -> None:
    found = done(WAITING)
    assert found.verdict is Verdict.WAITING
    assert "Nothing is broken, but something is still to come." in checks_page(checks.Kept(done=found)).text


def test_very_many_findings_are_counted_and_the_first_are_kept() -> None:
    many = [MONEY._replace(subject=f"order-{number}") for number in range(checks.KEPT_AT_MOST + 5)]
    found = done(*many)
    assert len(found.findings) == checks.KEPT_AT_MOST
    page = checks_page(checks.Kept(done=found))
    assert "And 5 more." in page.text
    assert f"broken {checks.KEPT_AT_MOST + 5}" in page.text


def test_while_one_is_under_way_no_other_can_be_begun_and_the_last_is_still_told() -> None:
    page = checks_page(checks.Kept(done=done(), going=going(5)))
    assert "under way started 5 s ago by eve; orders so far: 500" in page.text
    assert not can_be_begun(page)
    assert "Every invariant holds." in page.text


def test_one_whose_replica_was_killed_is_told_to_be_begun_anew() -> None:
    page = checks_page(checks.Kept(going=going(checks.HELD.total_seconds() + 1)))
    assert "was interrupted: start another" in page.text
    assert can_be_begun(page)


def test_one_that_did_not_come_to_its_end_says_why() -> None:
    page = checks_page(checks.Kept(trouble="the broker does not answer"))
    assert "did not finish: the broker does not answer" in page.text
    assert "No check has finished yet." in page.text


def test_who_may_not_begin_one_is_told_who_may() -> None:
    page = checks_page(checks.Kept(done=done()), why_not="this is for the role admin")
    assert "Start a check: this is for the role admin." in page.text
    assert not can_be_begun(page)
    assert "Every invariant holds." in page.text


# --- what mends an order ----------------------------------------------------------------------------------


def repair_page(plan: Plan) -> Page:
    told = tuple(commands.of_repair(plan.order, is_to_be_done=bool(plan.steps)))
    return rendered("repair", id=plan.order, page=repairs.page(plan), commands=told)


def test_what_can_be_done_here_is_a_link_and_what_cannot_a_command() -> None:
    steps = (
        Redrive("orders", "a b", "INVENTORY_RESERVED"),
        SendAgain("order-events", "c", "PAYMENT_SUCCEEDED", "{}"),
        Compensate("CONFIRMED", 60),
    )
    page = repair_page(Plan(order=ORDER, ends=Ends.MENDED, findings=("I4: open",), steps=steps, says="so"))
    assert {"/letters/redrive?queue=orders&id=a+b", f"/orders/{ORDER}/compensate"} <= set(page.links)
    assert "send again PAYMENT_SUCCEEDED" in page.text
    assert f"sagactl repair {ORDER} --apply --reason ''" in page.commands


def test_an_order_that_is_sound_needs_nothing() -> None:
    page = repair_page(Plan(order=ORDER, ends=Ends.SOUND, says="nothing is to be done"))
    assert "sound nothing is to be done" in page.text
    assert "--apply" not in page.text


def test_every_end_has_a_word_and_a_shape() -> None:
    assert set(repairs.SHAPES) == set(Ends)
    assert set(checks.SHAPES) == set(Verdict)


def test_what_others_wrote_is_text() -> None:
    plan = Plan(order=EVIL, ends=Ends.BY_HAND, findings=(EVIL,), says=EVIL)
    kept = checks.Kept(done=done(MONEY._replace(subject=EVIL, what=EVIL)), trouble=EVIL)
    for page in (repair_page(plan), checks_page(kept)):
        assert page.all_of("script") == page.all_of("img") == []
        assert EVIL in page.text
