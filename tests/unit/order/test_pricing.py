"""What an order costs: the catalogue's prices, one currency, and no total that cannot be counted."""

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.order.domain import MixedCurrencies, TotalTooLarge, UnknownProducts, Unpriceable, price
from services.order.model import Line
from services.shared.contract import money
from services.shared.contract.decisions import Refused


class Product(NamedTuple):
    product_id: str
    minor_price: int
    currency: str = "USD"
    name: str = "Lamp"


LAMP, DESK, EURO = Product("lamp", 10000), Product("desk", 25000), Product("euro", 100, "EUR")
CATALOGUE = {"lamp": LAMP, "desk": DESK, "euro": EURO, "nonesuch": None, "neither": None}


def test_lines_have_the_catalogues_prices_in_the_order_they_were_asked_for() -> None:
    priced = price({"desk": 1, "lamp": 2}, CATALOGUE)
    assert priced.lines == (Line("desk", 1, 25000, name="Lamp"), Line("lamp", 2, 10000, name="Lamp"))
    assert priced.currency == "USD"


def test_unknown_products_are_all_named() -> None:
    with pytest.raises(UnknownProducts, match="unknown products: nonesuch, neither") as refused:
        price({"nonesuch": 1, "lamp": 2, "neither": 1}, CATALOGUE)
    assert refused.value.ids == ["nonesuch", "neither"]
    assert isinstance(refused.value, Refused)


def test_an_order_is_in_one_currency() -> None:
    says = "an order is in one currency, not EUR and USD: place one order for each"
    with pytest.raises(MixedCurrencies, match=says):
        price({"lamp": 1, "euro": 1}, CATALOGUE)


@pytest.mark.parametrize("more", [0, 1])
def test_a_total_that_cannot_be_counted_is_refused(more: int) -> None:
    catalogue = {"a": Product("a", money.LARGEST - 100), "b": Product("b", 100 + more)}
    if more:
        with pytest.raises(TotalTooLarge, match="the order's total is too large"):
            price({"a": 1, "b": 1}, catalogue)
    else:
        assert len(price({"a": 1, "b": 1}, catalogue).lines) == 2


PRODUCTS = st.none() | st.builds(
    Product, st.just(""), st.integers(0, money.LARGEST), st.sampled_from(["USD", "EUR"])
)


@given(st.dictionaries(st.text(), st.tuples(st.integers(1, 100_000), PRODUCTS), min_size=1, max_size=50))
def test_an_order_is_priced_as_asked_or_refused(basket: dict[str, tuple[int, Product | None]]) -> None:
    asked = {id_: pieces for id_, (pieces, _) in basket.items()}
    products = {id_: product and product._replace(product_id=id_) for id_, (_, product) in basket.items()}
    try:
        priced = price(asked, products)
    except Unpriceable:
        return
    assert {line.product_id: line.quantity for line in priced.lines} == asked
    assert all(product and product.currency == priced.currency for product in products.values())
    assert sum(line.price * line.quantity for line in priced.lines) <= money.LARGEST
