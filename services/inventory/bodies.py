"""What goes in and out of the inventory service over HTTP."""

from typing import Annotated, Final, Self

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from services.inventory.stock import Stock

MOST_AT_ONCE: Final = 1_000_000


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", alias_generator=to_camel, populate_by_name=True)


class Delivery(_Body):
    quantity: Annotated[int, Field(ge=1, le=MOST_AT_ONCE, strict=True)]


class StockBody(_Body):
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
