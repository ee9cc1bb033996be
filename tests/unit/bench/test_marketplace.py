"""What counts as a violation of the marketplace's criteria, each of them once."""

from collections.abc import Mapping
from typing import Any

import pytest

from bench.marketplace.criteria import (
    EVENTS,
    STALE_SECONDS,
    Bought,
    Change,
    Ended,
    Line,
    Run,
    Seen,
    Shelf,
    Span,
    Step,
    Verdict,
    judge,
)

TEA, MUG = "tea", "mug"
PAID = [
    Step(EVENTS[0], None, "PENDING"),
    Step(EVENTS[1], "PENDING", "CONFIRMED"),
    Step(EVENTS[2], "CONFIRMED", "PAID"),
]
DECLINED = [*PAID[:2], Step("PAYMENT_FAILED", "CONFIRMED", "CANCELLED")]
LINES = [Line(TEA, 2, 500), Line(MUG, 1, 900)]
SOLD = {TEA: 2, MUG: 1}
ONE = Ended("one", "PAID", 1900, LINES, PAID, 1900, SOLD, {}, ["ORDER_PAID"])
TWO = Ended("two", "CANCELLED", 1900, LINES, DECLINED, 0, {}, {}, ["ORDER_CANCELLED"])
# Tea becomes dearer at 20, mugs at 40.
CHANGES = [
    Change(TEA, 500, Span(0, 1)),
    Change(MUG, 900, Span(2, 3)),
    Change(TEA, 550, Span(20, 21)),
    Change(MUG, 990, Span(40, 41)),
]
WELL = Run(
    CHANGES,
    [Bought("one", Span(10, 11)), Bought("two", Span(12, 13))],
    [
        Seen("one", "PENDING", 1900, LINES, Span(10.5, 10.6)),
        Seen("one", "PAID", 1900, LINES, Span(11, 12)),
        Seen("one", "PENDING", 1900, LINES, Span(10.4, 12.1)),  # asked before, answered after
        Seen("two", "CANCELLED", 1900, LINES, Span(13, 14)),
    ],
    {"one": ONE, "two": TWO},
    {TEA: Shelf(10, 8, 0, 2), MUG: Shelf(10, 9, 0, 1)},
    frozenset({TEA, MUG}),
)


def violations(run: Run) -> Mapping[str, Verdict]:
    """By the criterion's first words."""
    return {" ".join(each.criterion.split()[:2]): each for each in judge(run) if each.violations}


def with_one(**changes: Any) -> Run:
    return WELL._replace(ended={**WELL.ended, "one": ONE._replace(**changes)})


def bought(at: float, lines: list[Line], order: str = "three") -> Run:
    """One more, at that moment: of what it paid for it got nothing back."""
    ended = TWO._replace(order=order, lines=lines)
    return WELL._replace(
        bought=[*WELL.bought, Bought(order, Span(at, at + 1))], ended={**WELL.ended, order: ended}
    )


def test_a_shop_that_is_well_violates_nothing() -> None:
    assert violations(WELL) == {}


@pytest.mark.parametrize(
    ("run", "criterion"),
    [
        (WELL._replace(ended={"two": TWO}), "a checkout"),
        (with_one(paid=1800), "a checkout"),
        (with_one(sold={TEA: 2}), "a checkout"),
        (WELL._replace(ended={**WELL.ended, "two": TWO._replace(paid=1900)}), "a checkout"),
        (bought(30, [Line(TEA, 1, 499)]), "prices in"),
        (bought(21.1 + STALE_SECONDS, [Line(TEA, 1, 500)]), "prices in"),
        (bought(10, [Line(TEA, 1, 550)]), "prices in"),
        (WELL._replace(offered=frozenset({TEA})), "no removed"),
        (WELL._replace(offered=frozenset({TEA, MUG, "jar"})), "no removed"),
        (WELL._replace(shelves={**WELL.shelves, TEA: Shelf(10, 8, 2, 0)}), "no stock"),
        (WELL._replace(shelves={**WELL.shelves, TEA: Shelf(10, 9, 0, 2)}), "no stock"),
        (with_one(history=[PAID[0], PAID[2], PAID[1]]), "orders are"),
        (
            WELL._replace(ended={**WELL.ended, "two": TWO._replace(sent={TEA: 2})}),
            "orders are",
        ),
        (WELL._replace(seen=[Seen("one", "PAID", 1400, LINES, Span(11, 12))]), "an order"),
        (
            WELL._replace(seen=[*WELL.seen, Seen("one", "CONFIRMED", 1900, LINES, Span(15, 16))]),
            "an order",
        ),
        (with_one(history=PAID[1:]), "histories are"),
        (with_one(history=PAID[:2]), "histories are"),
    ],
)
def test_what_is_wrong_is_counted_by_its_criterion(run: Run, criterion: str) -> None:
    assert criterion in violations(run)


def test_an_order_at_a_price_that_has_just_changed_is_allowed_and_told() -> None:
    run = bought(22, [Line(TEA, 1, 500)])
    assert violations(run) == {}
    told = " ".join(verdict.remark for verdict in judge(run))
    assert "1 orders at a price that had changed, the oldest 1.0 s ago; 0 saw" in told


def test_who_sees_a_change_and_not_one_before_it_is_told_of() -> None:
    run = bought(41 - 20 + STALE_SECONDS, [Line(TEA, 1, 500), Line(MUG, 1, 990)])
    run = run._replace(bought=[*WELL.bought, Bought("three", Span(33, 42))])
    assert violations(run) == {}
    assert any("1 saw a change" in verdict.remark for verdict in judge(run))


def test_what_customers_are_told_may_overtake_itself_and_that_is_told() -> None:
    run = with_one(told=["ORDER_PAID", "ORDER_DELIVERED", "ORDER_SHIPPED"])
    assert violations(run) == {}
    assert any("1 customers were told" in verdict.remark for verdict in judge(run))


def test_what_was_taken_out_is_not_sold_for_long() -> None:
    gone = [*CHANGES, Change(TEA, None, Span(50, 51))]
    shelves = {**WELL.shelves, TEA: Shelf(10, 8, 0, 2, on_offer=False)}
    run = WELL._replace(changes=gone, shelves=shelves, offered=frozenset({MUG}))
    assert violations(run) == {}
    line = [Line(TEA, 1, 550)]
    soon = bought(52, line)._replace(changes=gone, shelves=shelves, offered=frozenset({MUG}))
    assert violations(soon) == {}
    assert any("1 orders named a product" in verdict.remark for verdict in judge(soon))
    late = bought(51.1 + STALE_SECONDS, line)
    assert "no removed" in violations(late._replace(changes=gone, shelves=shelves, offered=frozenset({MUG})))
