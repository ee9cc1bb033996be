"""The catalogue's rules: what a product is, and what creating, changing and deleting it means.

Inventory learns of products by events: it makes the stock row, and sells nothing more of a deleted one.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar, Final, NamedTuple

from msgspec import structs

from services.shared.contract import money
from services.shared.contract.audit import Action
from services.shared.contract.codes import Code
from services.shared.contract.decisions import (
    Aggregate,
    Decision,
    Domain,
    Loaded,
    Message,
    NotFound,
    Ref,
    Refused,
    audited,
)
from services.shared.contract.events import ProductCreated, ProductDeleted
from services.shared.contract.idempotency import Keyed, once


class Price(NamedTuple):
    """Minor units and the currency that gives them a meaning."""

    minor: int
    currency: str


class Product(Aggregate, frozen=True, kw_only=True):
    collection: ClassVar[str] = "products"
    name: str
    description: str
    # Minor units of the currency.
    price: int
    currency: str
    # Kept when deleted: old orders name it.
    deleted: bool = False
    created_at: datetime
    updated_at: datetime

    @property
    def decimal_price(self) -> str:
        return str(money.to_decimal(self.price, self.currency))

    @property
    def amount(self) -> str:
        return f"{self.decimal_price} {self.currency}"


class NotAPrice(Refused):
    """The amount is none of its currency."""

    code = Code.INVALID


class CreateProduct(Keyed, frozen=True, kw_only=True):
    # Made by the caller: nothing here is random.
    product_id: str
    name: str
    description: str
    price: Price
    initial_stock: int


class ChangeProduct(Keyed, frozen=True, kw_only=True):
    """None leaves a field as it is."""

    product_id: str
    name: str | None = None
    description: str | None = None
    # In the major unit of the currency: the product's own where none is named.
    price: Decimal | None = None
    currency: str | None = None


class DeleteProduct(Keyed, frozen=True, kw_only=True):
    product_id: str


Command = CreateProduct | ChangeProduct | DeleteProduct


def create(_: Loaded, command: CreateProduct, at: datetime) -> Decision:
    product = Product(
        id=command.product_id,
        name=command.name,
        description=command.description,
        price=command.price.minor,
        currency=command.price.currency,
        created_at=at,
        updated_at=at,
    )
    created = ProductCreated(product_id=product.id, initial_stock=command.initial_stock)
    return Decision(changed=(product,), events=(created,), reply=product)


def change(loaded: Loaded, command: ChangeProduct, at: datetime) -> Decision:
    """Change what the command names. Publishes nothing: other services ask for names and prices.

    What would change nothing does not count as a change. Raises NotAPrice for an amount that the currency
    does not have.
    """
    current = _existing(loaded, command.product_id)
    price = _wanted_price(current, command)
    wanted = {
        "name": current.name if command.name is None else command.name,
        "description": current.description if command.description is None else command.description,
        "price": price.minor,
        "currency": price.currency,
    }
    if structs.replace(current, **wanted) == current:
        return Decision(reply=current)
    changed = structs.replace(current, **wanted, updated_at=at)
    return Decision(changed=(changed,), reply=changed)


def _wanted_price(current: Product, command: ChangeProduct) -> Price:
    if command.price is None:
        return Price(current.price, current.currency)
    currency = command.currency or current.currency
    try:
        return Price(money.to_minor(command.price, currency), currency)
    except ValueError as error:
        raise NotAPrice(str(error)) from error


def delete(loaded: Loaded, command: DeleteProduct, at: datetime) -> Decision:
    current = _existing(loaded, command.product_id)
    gone = structs.replace(current, deleted=True, updated_at=at)
    return Decision(changed=(gone,), events=(ProductDeleted(product_id=gone.id),), reply=gone)


def _existing(loaded: Loaded, product_id: str) -> Product:
    product = loaded.get(Product, product_id)
    if product is None or product.deleted:
        raise NotFound(f"there is no product {product_id}")
    return product


DECIDE: Final[dict[type[Command], Callable[[Loaded, Any, datetime], Decision]]] = {
    CreateProduct: create,
    ChangeProduct: change,
    DeleteProduct: delete,
}


ACTIONS: Final[dict[type[Command], Action]] = {
    CreateProduct: Action.PRODUCT_CREATED,
    ChangeProduct: Action.PRODUCT_CHANGED,
    DeleteProduct: Action.PRODUCT_DELETED,
}


def _home(message: Message) -> Ref:
    return Ref(Product, _command(message).product_id)


def _reads(_: Message, __: Loaded) -> Iterable[Ref]:
    return ()


def _decide(loaded: Loaded, message: Message) -> Decision:
    command = _command(message)
    before = loaded.get(Product, command.product_id)
    decision = DECIDE[type(command)](loaded, command, message.at)
    return audited(
        decision, message, ACTIONS[type(command)], command.product_id, detail=_detail(before, decision)
    )


def _detail(before: Product | None, decision: Decision) -> str:
    """What was changed of a product: its price in full, of what is text only which."""
    after = decision.reply
    if not isinstance(after, Product):
        return ""
    if before is None or after.deleted:
        return f"price {after.amount}"
    said = [name for name in ("name", "description") if getattr(before, name) != getattr(after, name)]
    if before.amount != after.amount:
        said.append(f"price {before.amount} -> {after.amount}")
    return ", ".join(said)


def _command(message: Message) -> Command:
    command: Command = message.body  # type: ignore[assignment]  # product consumes nothing: all it gets is commands
    return command


PRODUCTS: Final = once(Domain(home=_home, reads=_reads, decide=_decide))
