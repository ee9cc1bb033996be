"""The rules of a product's stock: it is created, restocked, discontinued."""

from msgspec import Struct, structs

from services.inventory.stock import LARGEST, Stock
from services.shared.contract.audit import Action
from services.shared.contract.decisions import (
    Decision,
    Loaded,
    Message,
    NotFound,
    Refused,
    Verdict,
    audited,
)
from services.shared.contract.events import ProductCreated, ProductDeleted
from services.shared.contract.idempotency import IdempotencyKey, earlier_subject, request_hash


class Restock(Struct, frozen=True, kw_only=True):
    """A command: so many pieces came in. `idempotency_key` is a `key_id`."""

    product_id: str
    quantity: int
    idempotency_key: str | None = None


def create(loaded: Loaded, _: Message, event: ProductCreated) -> Decision:
    stock = loaded.get(Stock, event.product_id) or Stock(id=event.product_id, created=False)
    if stock.created:
        return Decision(verdict=Verdict.DUPLICATE)
    return Decision(changed=(stock.created_with(event.initial_stock),))


def discontinue(loaded: Loaded, _: Message, event: ProductDeleted) -> Decision:
    stock = loaded.get(Stock, event.product_id) or Stock(id=event.product_id, created=False)
    if stock.discontinued:
        return Decision(verdict=Verdict.DUPLICATE)
    return Decision(changed=(structs.replace(stock, discontinued=True),))


def restock(loaded: Loaded, message: Message, command: Restock) -> Decision:
    stock = loaded.get(Stock, command.product_id)
    if stock is None or not stock.created:
        raise NotFound(f"there is no stock of product {command.product_id}")
    key = command.idempotency_key
    request = request_hash([command.product_id, command.quantity])
    if key and earlier_subject(loaded.get(IdempotencyKey, key), request, message.at) is not None:
        return Decision(reply=stock, verdict=Verdict.DUPLICATE)
    if stock.discontinued:
        raise Refused("the product is discontinued: there is no selling it any more")
    if stock.initial + stock.restocked + command.quantity > LARGEST:
        raise Refused(f"one product can have {LARGEST} pieces at most")
    stock = stock.restocked_by(command.quantity)
    remembered = (
        (IdempotencyKey(id=key, request=request, subject=command.product_id, at=message.at),) if key else ()
    )
    decision = Decision(changed=(stock, *remembered), reply=stock)
    return audited(decision, message, Action.RESTOCKED, stock.id, detail=f"{command.quantity} pieces")
