"""What goes in and out of the product service over HTTP."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Self

from pydantic import Field, model_validator

from services.product.domain import Product
from services.shared.contract import money
from services.shared.http.bodies import Body, View

Name = Annotated[str, Field(min_length=1, max_length=200)]
Description = Annotated[str, Field(max_length=5000)]
Amount = Annotated[Decimal, Field(ge=0, description="Decimal string, or a number", examples=["299.99"])]
Currency = Annotated[str, Field(min_length=3, max_length=3, description="ISO 4217", examples=["USD"])]


class NewProduct(Body):
    name: Name
    description: Description = ""
    price: Amount
    currency: Currency
    initial_stock: Annotated[int, Field(ge=0, le=1_000_000_000, strict=True)] = 0

    @model_validator(mode="after")
    def _is_an_amount(self) -> Self:
        money.to_minor(self.price, self.currency)
        return self


class Changes(Body):
    """Fields that are left out stay as they are."""

    name: Name | None = None
    description: Description | None = None
    price: Amount | None = None
    currency: Currency | None = None

    @model_validator(mode="after")
    def _currency_with_price(self) -> Self:
        if self.currency is not None and self.price is None:
            raise ValueError("a new currency needs a new price")
        return self


class ProductView(View):
    product_id: str
    name: str
    description: str
    price: Annotated[str, Field(description="In the currency's major unit", examples=["299.99"])]
    currency: str
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, product: Product) -> Self:
        return cls(
            product_id=product.id,
            name=product.name,
            description=product.description,
            price=product.decimal_price,
            currency=product.currency,
            created_at=product.created_at,
            updated_at=product.updated_at,
        )


class ProductList(View):
    items: list[ProductView]
    next_cursor: str | None = None
