"""What the product service publishes."""

from typing import Final

from services.shared.contract.events.event import Count, Event, Part, ProductId


class ProductCreated(Event, frozen=True, kw_only=True):
    """A product was added to the catalogue, and needs a stock document."""

    type = "PRODUCT_CREATED"
    product_id: ProductId
    initial_stock: Count = 0

    @property
    def subject(self) -> str:
        return self.product_id


class ProductDeleted(Event, frozen=True, kw_only=True):
    """A product is no longer for sale."""

    type = "PRODUCT_DELETED"
    product_id: ProductId

    @property
    def subject(self) -> str:
        return self.product_id


PART: Final = Part(publishes=(ProductCreated, ProductDeleted))
