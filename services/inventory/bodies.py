"""What goes in and out of the inventory service over HTTP."""

from typing import Annotated, Final, Self

from pydantic import Field

from services.inventory import examples
from services.inventory.stock import Stock
from services.shared.http.bodies import Body, View

MOST_AT_ONCE: Final = 1_000_000


class Delivery(Body, json_schema_extra={"examples": [examples.DELIVERY]}):
    quantity: Annotated[int, Field(ge=1, le=MOST_AT_ONCE, strict=True)]


class StockBody(View, json_schema_extra={"examples": [examples.STOCK]}):
    product_id: str
    available: Annotated[int, Field(description="Pieces that can be ordered now")]
    discontinued: Annotated[bool, Field(description="No longer sold")]
    reserved: Annotated[int, Field(description="Held for orders; shown to administrators")] = 0
    sold: Annotated[int, Field(description="Shown to administrators")] = 0

    @classmethod
    def of(cls, stock: Stock, *, for_staff: bool) -> Self:
        internal = {"reserved": stock.reserved, "sold": stock.sold}
        return cls(
            product_id=stock.id,
            available=stock.available,
            discontinued=stock.discontinued,
            **(internal if for_staff else {}),
        )


class StockList(View, json_schema_extra={"examples": [examples.STOCK_LIST]}):
    items: list[StockBody]
