"""What the consistency test counts as wrong."""

from hypothesis import given
from hypothesis import strategies as st

from bench.judge import PIECES, PRICE_MINOR, Judgement, Kept, Told, judge

BUYERS = [Told(f"customer {number % 60}", "PAID") for number in range(PIECES)]
REFUSED = [Told(f"customer {number}", "CANCELLED") for number in range(900)]
PAID = {
    f"customer {number}": PRICE_MINOR
    * len([each for each in BUYERS if each.customer == f"customer {number}"])
    for number in range(60)
}


def test_all_pieces_sold_to_those_who_were_told_so_and_have_paid_is_what_holds() -> None:
    assert judge(BUYERS + REFUSED, Kept(0, PIECES, PAID)).holds


def test_a_piece_too_many_is_seen_where_it_is_told_and_where_it_is_kept() -> None:
    told = [*BUYERS, Told("customer 1", "PAID"), *REFUSED]
    assert judge(told, Kept(0, PIECES, PAID)) == Judgement(1, 0, PRICE_MINOR, PRICE_MINOR)
    assert judge(BUYERS + REFUSED, Kept(0, PIECES + 1, PAID)).stock_kept == 1
    assert judge(BUYERS + REFUSED, Kept(1, PIECES, PAID)).stock_kept == 1


@given(st.sampled_from(sorted(PAID)), st.integers(-PRICE_MINOR, PRICE_MINOR).filter(bool))
def test_money_that_is_wrong_is_seen_though_the_sum_be_right(customer: str, wrong: int) -> None:
    other = next(name for name in PAID if name != customer)
    paid = PAID | {customer: PAID[customer] + wrong, other: PAID[other] - wrong}
    assert judge(BUYERS + REFUSED, Kept(0, PIECES, paid)).payment_kept == 2 * abs(wrong)


def test_money_of_nobody_is_wrong() -> None:
    assert judge(BUYERS, Kept(0, PIECES, PAID | {"nobody": 1})).payment_kept == 1
