"""The judge over all peers and us: each rule, broken by hand, is seen."""

import pytest

from bench.peers.books import Books, Kept, Stock, judge

PAID, CANCELLED = "paid-one", "cancelled-one"
ACCEPTED = (PAID, CANCELLED)
RIGHT = Books(
    stock={"lamp": Stock(initial=10, available=8, reserved=0, sold=2), "chair": Stock(5, 4, 0, 1)},
    orders={
        PAID: Kept("PAID", {"lamp": 2, "chair": 1}, 700),
        CANCELLED: Kept("CANCELLED", {"lamp": 1}, 200),
    },
    money={PAID: [700]},
    told={PAID: ["ORDER_PAID"], CANCELLED: ["ORDER_CANCELLED"]},
)


def test_books_that_are_right_are_not_complained_of() -> None:
    assert judge(RIGHT, ACCEPTED) == []


def test_what_was_taken_and_given_back_is_no_money_kept() -> None:
    assert judge(RIGHT._replace(money={PAID: [700], CANCELLED: [200, -200]}), ACCEPTED) == []


LOST = {key: order for key, order in RIGHT.orders.items() if key != CANCELLED}


@pytest.mark.parametrize(
    ("broken", "complaint"),
    [
        (RIGHT._replace(orders=LOST), "accepted and not there"),
        (RIGHT._replace(orders={**RIGHT.orders, "more": RIGHT.orders[CANCELLED]}), "never accepted"),
        (RIGHT._replace(orders={**RIGHT.orders, CANCELLED: Kept("RESERVED", {}, 0)}), "not final"),
        (RIGHT._replace(money={}), "is paid, 700 is due"),
        (RIGHT._replace(money={PAID: [700, 700]}), "is paid, 700 is due"),
        (RIGHT._replace(money={PAID: [699]}), "is paid, 700 is due"),
        (RIGHT._replace(money={PAID: [700, -700]}), "is paid, 700 is due"),
        (RIGHT._replace(money={PAID: [700], CANCELLED: [200]}), "the gateway kept 200"),
        (RIGHT._replace(money={PAID: [700], "nobody": [1]}), "paid for and not there"),
        (RIGHT._replace(told={PAID: ["ORDER_PAID"]}), "was told []"),
        (RIGHT._replace(told={**RIGHT.told, PAID: ["ORDER_PAID"] * 2}), "was told ['ORDER_PAID', "),
        (RIGHT._replace(told={**RIGHT.told, PAID: ["ORDER_CANCELLED"]}), "is PAID, and the customer"),
        (RIGHT._replace(stock={**RIGHT.stock, "chair": Stock(5, 3, 0, 1)}), "lost or made"),
        (RIGHT._replace(stock={**RIGHT.stock, "chair": Stock(5, 5, -1, 1)}), "lost or made"),
        (RIGHT._replace(stock={**RIGHT.stock, "chair": Stock(5, 3, 1, 1)}), "reserved for nobody"),
        (RIGHT._replace(stock={**RIGHT.stock, "chair": Stock(5, 3, 0, 2)}), "2 are sold, 1 are paid"),
    ],
)
def test_each_rule_that_is_broken_is_named(broken: Books, complaint: str) -> None:
    assert any(complaint in sentence for sentence in judge(broken, ACCEPTED))
