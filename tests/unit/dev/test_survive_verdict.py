"""A shop that is well passes; each way not to survive is found and named with those whom it is about."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rich.console import Console

from dev.survive import report
from dev.survive.attempts import Attempt, Outcome, end_of
from dev.survive.report import Result
from dev.survive.verdict import ENOUGH_ORDERS, Evidence, Failure, Seen, Verdict, judge, without_rubbish
from sagactl.oncall.invariants import Finding, Invariant

END = datetime(2026, 1, 1, 12, tzinfo=UTC)
ORDERS = ENOUGH_ORDERS + 5


def attempt(number: int, outcome: Outcome = Outcome.ACCEPTED, at: datetime = END) -> Attempt:
    order_id = f"order-{number}" if outcome is Outcome.ACCEPTED else ""
    return Attempt(number, outcome, "201", "http://gateway", at, 0.1, order_id)


def seen(number: int, after: float = -1.0) -> Seen:
    return Seen(f"order-{number}", number, end_of(number), True, END + timedelta(seconds=after))  # noqa: FBT003


WELL = Evidence(
    [attempt(number) for number in range(ORDERS)], [seen(number) for number in range(ORDERS)], END
)


def with_attempt(more: Attempt) -> Evidence:
    return WELL._replace(attempts=[*WELL.attempts, more])


def with_order(changed: Seen) -> Evidence:
    orders = [changed if order.id == changed.id else order for order in WELL.orders]
    return WELL._replace(orders=orders if changed in orders else [*orders, changed])


def test_a_shop_that_is_well_survived_and_had_nothing_to_recover() -> None:
    assert judge(WELL) == Verdict([], {Outcome.ACCEPTED: ORDERS}, 0.0)


@pytest.mark.parametrize(
    ("evidence", "failure"),
    [
        (
            WELL._replace(attempts=WELL.attempts[:3], orders=WELL.orders[:3]),
            Failure("only 3 orders were accepted: too few to show anything"),
        ),
        (
            WELL._replace(before=ORDERS - 3),
            Failure("only 3 orders were accepted: too few to show anything"),
        ),
        (
            WELL._replace(orders=WELL.orders[1:]),
            Failure("accepted, and does not exist: 1", ["order-0"]),
        ),
        (
            with_order(seen(2)._replace(status="PENDING", settled=False)),
            Failure("not settled: 1", ["order-2 PENDING"]),
        ),
        (with_order(seen(2, after=121)), Failure("settled too late: 1", ["order-2 PAID"])),
        (
            with_order(seen(2)._replace(status="CANCELLED")),
            Failure("did not end as it should: 1", ["order-2 CANCELLED"]),
        ),
        (
            with_attempt(attempt(99, Outcome.REFUSED))._replace(orders=[*WELL.orders, seen(99)]),
            Failure("answered 503, and carried out: 1", ["order-99"]),
        ),
        (
            with_order(seen(2)._replace(id="order-2b")),
            Failure("carried out twice: 1", ["order-2 order-2b"]),
        ),
        (with_order(seen(99)), Failure("an order that nobody placed: 1", ["order-99"])),
        (
            with_attempt(attempt(99, Outcome.WRONG)._replace(answer="500 our fault")),
            Failure("an answer that the fault does not explain: 1", ["500 our fault"]),
        ),
        (
            WELL._replace(ended={"payment": "died: TypeError"}),
            Failure("payment ended by itself: died: TypeError"),
        ),
        (
            WELL._replace(findings=[Finding(Invariant.EXPLAINED, "order-1", "dead")]),
            Failure("the checker's I5: 1", ["order-1: dead"]),
        ),
        (WELL._replace(remarks=[Failure("nobody listened")]), Failure("nobody listened")),
    ],
)
def test_a_shop_that_did_not_survive_is_told_why(evidence: Evidence, failure: Failure) -> None:
    assert judge(evidence).failures == [failure]


def test_what_nobody_knows_may_have_been_carried_out_or_not() -> None:
    unknown = with_attempt(attempt(99, Outcome.UNKNOWN))
    assert not judge(unknown).failures
    assert not judge(unknown._replace(orders=[*WELL.orders, seen(99)])).failures


def test_recovery_lasts_until_the_last_order_accepted_before_the_end_of_the_fault() -> None:
    later = with_attempt(attempt(99, at=END + timedelta(seconds=5)))
    evidence = later._replace(orders=[*WELL.orders[1:], seen(0, after=7.5), seen(99, after=30)])
    assert judge(evidence).recovery_seconds == pytest.approx(7.5)


@pytest.mark.parametrize("left", [[], [seen(0)._replace(settled=False, status="PENDING")]])
def test_there_is_no_recovery_while_an_order_is_open_or_lost(left: list[Seen]) -> None:
    assert judge(WELL._replace(orders=[*WELL.orders[1:], *left])).recovery_seconds is None


def test_rubbish_excuses_its_own_dead_letters_and_nothing_of_ours() -> None:
    findings = [
        Finding(Invariant.EXPLAINED, "3f2c", "NOPE in inventory.dlq: invalid"),
        Finding(Invariant.EXPLAINED, "order-1", "ORDER_PAID in notifications.dlq: failed"),
        Finding(Invariant.MONEY_AGREES, "rubbish", "the gateway knows a payment that we do not"),
        Finding(Invariant.STOCK_CONSERVED, "lamp", "5 pieces were lost"),
        Finding(Invariant.DRAINED, "outbox of order", "3 left"),
    ]
    assert without_rubbish(findings, {"order-1", "lamp"}) == [findings[1], *findings[3:]]


# --- told ---------------------------------------------------------------------------------------------------

SURVIVED = Result("connections", judge(WELL), 31.26)
STUCK = Result(
    "broker-kill", Verdict([Failure("not settled: 12", [f"order-{n}" for n in range(12)])], {}, None), 180.0
)


def test_the_table_has_a_line_for_each_scenario() -> None:
    assert report.row(SURVIVED)[:-1] == ("connections", "25", "0", "0", "0.0 s", "31 s")
    assert report.row(STUCK)[:-1] == ("broker-kill", "0", "0", "0", "never", "180 s")
    console = Console(record=True, width=120)
    report.show(console, [SURVIVED, STUCK])
    told = console.export_text()
    assert told.count("did not survive") == 1
    assert told.count("survived") == 1


def test_of_many_offending_orders_the_first_are_named() -> None:
    (failure,) = STUCK.verdict.failures
    told = report.lines(failure)
    assert told[:2] == ["not settled: 12", "  order-0"]
    assert told[-1] == "  and 2 more"
    assert len(told) == 12
    assert report.lines(Failure("nobody listened")) == ["nobody listened"]


def test_programs_get_all_of_it(tmp_path: Path) -> None:
    report.write(tmp_path / "survive.json", [SURVIVED, STUCK], seed=7, short=True)
    document = json.loads((tmp_path / "survive.json").read_text())
    assert (document["seed"], document["short"]) == (7, True)
    first, second = document["scenarios"]
    assert (first["survived"], first["recoverySeconds"], first["seconds"]) == (True, 0.0, 31.3)
    assert first["attempts"] == {"accepted": ORDERS, "refused": 0, "unknown": 0, "wrong": 0}
    assert second["recoverySeconds"] is None
    assert len(second["failures"][0]["ids"]) == 12
