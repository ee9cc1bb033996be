"""What creating, changing and deleting products does, and what inventory hears of it."""

from datetime import timedelta
from decimal import Decimal
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from services.product.domain import (
    PRODUCTS,
    ChangeProduct,
    Command,
    CreateProduct,
    DeleteProduct,
    NotAPrice,
    Price,
    Product,
)
from services.shared.contract import money
from services.shared.contract.audit import Action, Actor, By, Entry, Kind
from services.shared.contract.decisions import KeyReused, NotFound, Verdict
from services.shared.contract.events import Event, ProductCreated, ProductDeleted
from services.shared.contract.idempotency import LIFETIME, Key
from tests.unit.memory import NOW, Memory

IDS = st.sampled_from(["lamp", "torch"])
PRICES = st.builds(Price, st.integers(0, money.LARGEST), st.sampled_from(["USD", "JPY", "KWD"]))
TEXTS = st.text(max_size=10)
CREATIONS = st.builds(
    CreateProduct,
    product_id=IDS,
    name=TEXTS,
    description=TEXTS,
    price=PRICES,
    initial_stock=st.integers(0, 1_000_000_000),
)
CHANGES = st.builds(
    ChangeProduct,
    product_id=IDS,
    name=st.none() | TEXTS,
    description=st.none() | TEXTS,
)
PRICED: Final = st.tuples(CHANGES, st.none() | PRICES).map(lambda each: priced(*each))
DELETIONS = st.builds(DeleteProduct, product_id=IDS)


def priced(change: ChangeProduct, price: Price | None) -> ChangeProduct:
    if price is None:
        return change
    amount = money.to_decimal(price.minor, price.currency)
    return structs.replace(change, price=amount, currency=price.currency)


def creation(product_id: str, *, key: Key | None = None) -> CreateProduct:
    return CreateProduct(
        product_id=product_id,
        key=key,
        name="Lamp",
        description="",
        price=Price(29999, "USD"),
        initial_stock=7,
    )


def test_a_created_product_is_known_to_inventory_with_its_stock() -> None:
    decision = Memory(PRODUCTS).handle(creation("lamp"))
    assert decision.events == (ProductCreated(product_id="lamp", initial_stock=7),)


def test_a_used_key_answers_with_its_product_as_it_is_now() -> None:
    shop = Memory(PRODUCTS)
    shop.handle(creation("lamp", key=Key("boss/once", "hash")))
    shop.handle(ChangeProduct(product_id="lamp", name="Torch"))
    again = shop.handle(creation("other", key=Key("boss/once", "hash")))
    assert (again.verdict, again.changed, again.events) == (Verdict.DUPLICATE, (), ())
    assert isinstance(again.reply, Product)
    assert (again.reply.id, again.reply.name) == ("lamp", "Torch")


def test_a_used_key_is_refused_for_another_product() -> None:
    shop = Memory(PRODUCTS)
    shop.handle(creation("lamp", key=Key("boss/once", "hash")))
    with pytest.raises(KeyReused):
        shop.handle(creation("other", key=Key("boss/once", "another hash")))


def test_a_key_is_free_again_after_a_day() -> None:
    shop = Memory(PRODUCTS)
    shop.handle(creation("lamp", key=Key("boss/once", "hash")))
    later = shop.handle(creation("other", key=Key("boss/once", "another hash")), at=NOW + LIFETIME)
    assert [event.subject for event in later.events] == ["other"]


@given(st.lists(PRICED | DELETIONS, max_size=20))
def test_inventory_hears_of_each_deletion_once(commands: list[Command]) -> None:
    shop, heard, alive = Memory(PRODUCTS), list[Event](), {"lamp", "torch"}
    for product_id in alive:
        shop.handle(creation(product_id))
    for command in commands:
        try:
            heard += shop.handle(command).events
        except NotFound:
            assert command.product_id not in alive
        else:
            assert command.product_id in alive
            alive -= {command.product_id} if isinstance(command, DeleteProduct) else set()
    assert {event.subject for event in heard} == {"lamp", "torch"} - alive
    assert heard == [ProductDeleted(product_id=event.subject) for event in heard]
    assert len(heard) == 2 - len(alive)


def unchanged(before: CreateProduct, after: Product) -> bool:
    price = (after.price, after.currency)
    return (after.name, after.description, price) == (before.name, before.description, before.price)


@given(CREATIONS, CHANGES, st.none() | PRICES)
def test_a_change_changes_what_it_names_and_nothing_else(
    before: CreateProduct, change: ChangeProduct, wanted: Price | None
) -> None:
    shop = Memory(PRODUCTS)
    shop.handle(before)
    after = shop.handle(
        structs.replace(priced(change, wanted), product_id=before.product_id),
        at=NOW + timedelta(seconds=1),
    ).reply
    assert isinstance(after, Product)
    price = wanted or before.price
    assert after.name == (before.name if change.name is None else change.name)
    assert after.description == (before.description if change.description is None else change.description)
    assert (after.price, after.currency) == price
    touched = NOW if unchanged(before, after) else NOW + timedelta(seconds=1)
    assert (after.created_at, after.updated_at) == (NOW, touched)
    assert money.to_minor(Decimal(after.decimal_price), after.currency) == price.minor


def test_a_new_price_is_in_the_products_own_currency_unless_told_otherwise() -> None:
    shop = Memory(PRODUCTS)
    shop.handle(creation("lamp"))
    dearer = shop.handle(ChangeProduct(product_id="lamp", price=Decimal("300.5"))).reply
    assert isinstance(dearer, Product)
    assert dearer.amount == "300.50 USD"
    with pytest.raises(NotAPrice, match="at most 2 decimals"):
        shop.handle(ChangeProduct(product_id="lamp", price=Decimal("1.234")))


# --- who answers for it -----------------------------------------------------------------------------------

BOSS = By(Actor("boss", Kind.USER, ("admin",)), "192.0.2.7", "request-1")


def test_each_change_of_the_catalogue_is_on_the_trail_with_its_price() -> None:
    shop, entries = Memory(PRODUCTS), list[Entry]()
    for command in (
        creation("lamp"),
        ChangeProduct(product_id="lamp", price=Decimal("0.01")),
        ChangeProduct(product_id="lamp", name="Torch", description="bright"),
        ChangeProduct(product_id="lamp", name="Torch"),
        DeleteProduct(product_id="lamp"),
    ):
        entries += shop.handle(command, by=BOSS).audit
    assert [(entry.action, entry.detail) for entry in entries] == [
        (Action.PRODUCT_CREATED, "price 299.99 USD"),
        (Action.PRODUCT_CHANGED, "price 299.99 USD -> 0.01 USD"),
        (Action.PRODUCT_CHANGED, "name, description"),
        (Action.PRODUCT_DELETED, "price 0.01 USD"),
    ]
    assert {(entry.actor, entry.subject) for entry in entries} == {(BOSS.actor, "lamp")}


def test_a_product_that_is_asked_for_again_under_its_key_leaves_one_entry() -> None:
    shop = Memory(PRODUCTS)
    assert len(shop.handle(creation("lamp", key=Key("boss/once", "hash")), by=BOSS).audit) == 1
    assert shop.handle(creation("other", key=Key("boss/once", "hash")), by=BOSS).audit == ()
