"""What goes in and out of the product service over HTTP."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Self

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from services.product import examples
from services.product.domain import Product
from services.shared.contract import money
from services.shared.http.bodies import Body, View


def _listed(currency: str) -> str:
    money.exponent(currency)
    return currency


Name = Annotated[str, Field(min_length=1, max_length=200)]
Description = Annotated[str, Field(max_length=5000)]
Amount = Annotated[
    Decimal,
    Field(
        ge=0,
        description="Decimal string, or a number, in the currency's major unit",
        examples=["299.99"],
        json_schema_extra={"x-allowed": "an amount of 0 or more, as text or number: 299.99"},
    ),
]
Currency = Annotated[
    str,
    AfterValidator(_listed),
    Field(
        description="ISO 4217",
        examples=["USD"],
        json_schema_extra={"minLength": 3, "maxLength": 3, "x-allowed": "an ISO 4217 code such as USD"},
    ),
]


class NewProduct(Body, json_schema_extra={"examples": [examples.NEW_PRODUCT]}):
    name: Name
    description: Description = ""
    currency: Currency
    price: Amount
    initial_stock: Annotated[int, Field(ge=0, le=1_000_000_000, strict=True)] = 0

    @field_validator("price")
    @classmethod
    def _is_an_amount(cls, price: Decimal, info: ValidationInfo) -> Decimal:
        if currency := info.data.get("currency"):
            money.to_minor(price, currency)
        return price


class Changes(Body, json_schema_extra={"examples": [examples.CHANGES]}):
    """Fields that are left out stay as they are."""

    name: Name | None = None
    description: Description | None = None
    price: Amount | None = None
    currency: Currency | None = None

    @field_validator("currency")
    @classmethod
    def _currency_with_price(cls, currency: str | None, info: ValidationInfo) -> str | None:
        if currency is not None and "price" in info.data and info.data["price"] is None:
            raise ValueError("a new currency needs a new price")
        return currency


class StockBody(View):
    available: Annotated[int, Field(description="Pieces that can be ordered now")]


class ProductView(View, json_schema_extra={"examples": [examples.PRODUCT]}):
    product_id: str
    name: str
    description: str
    price: Annotated[str, Field(description="In the currency's major unit", examples=["299.99"])]
    currency: str
    created_at: datetime
    updated_at: datetime
    stock: Annotated[
        StockBody | None,
        Field(description="With `include=stock`; null if inventory does not know it, or does not answer"),
    ] = None

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

    def with_stock(self, available: int | None) -> Self:
        """The same, with so many pieces, or with a null where that is not known."""
        stock = None if available is None else StockBody(available=available)
        return self.model_copy(update={"stock": stock})


class ProductList(View, json_schema_extra={"examples": [examples.PRODUCT_LIST]}):
    items: list[ProductView]
    next_cursor: str | None = None
