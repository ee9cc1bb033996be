"""What goes in and out of the inventory service over HTTP."""

from typing import Annotated, Final, Self

from pydantic import Field

from services.inventory.stock import Stock
from services.shared.http.bodies import Body, View

MOST_AT_ONCE: Final = 1_000_000


class Delivery(Body):
    quantity: Annotated[int, Field(ge=1, le=MOST_AT_ONCE, strict=True)]


class StockBody(View):
    product_id: str
    available: int
    reserved: int
    sold: int
    discontinued: bool

    @classmethod
    def of(cls, stock: Stock) -> Self:
        return cls(
            product_id=stock.id,
            available=stock.available,
            reserved=stock.reserved,
            sold=stock.sold,
            discontinued=stock.discontinued,
        )
