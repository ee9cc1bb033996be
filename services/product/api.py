"""The catalogue over HTTP: anyone reads, administrators write."""

import json
import uuid
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from http import HTTPStatus
from typing import Annotated, Any, Final, Self

from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response
from fastapi.routing import APIRoute
from pydantic import Field, model_validator

from services.product.catalogue import Catalogue
from services.product.domain import ChangeProduct, CreateProduct, DeleteProduct, Key, Price, Product
from services.shared.contract import money
from services.shared.contract.decisions import NotFound, Unavailable
from services.shared.contract.idempotency import IdempotencyKey, earlier_subject, key_id, request_hash
from services.shared.contract.ids import checked
from services.shared.engine.life import Engine, TheEngine
from services.shared.http.app import IDEMPOTENT, Admin, IdempotencyKeyHeader
from services.shared.http.bodies import Body, Id, View
from services.shared.http.cursors import LONGEST, cursor_of

MOST_IDS: Final = 500


class _ExactRequest(Request):
    """Reads JSON numbers as decimals: as binary floats they would be other amounts."""

    async def json(self) -> Any:  # noqa: ANN401  # JSON
        return json.loads(await self.body(), parse_float=Decimal)


class _ExactRoute(APIRoute):
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def exactly(request: Request) -> Response:
            return await handle(_ExactRequest(request.scope, request.receive))

        return exactly


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
    """What is left out stays."""

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


class ProductList(View):
    items: list[ProductView]
    next_cursor: str | None = None


async def _catalogue(request: Request) -> Catalogue:
    catalogue: Catalogue = request.app.state.catalogue
    return catalogue


TheCatalogue = Annotated[Catalogue, Depends(_catalogue)]
router = APIRouter(prefix="/api/products", tags=["products"], route_class=_ExactRoute)


@router.get("")
async def list_products(
    catalogue: TheCatalogue,
    ids: Annotated[str | None, Query(description=f"Up to {MOST_IDS}, separated by commas")] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    cursor: Annotated[
        str | None, Query(max_length=LONGEST, description="`nextCursor` of the page before")
    ] = None,
) -> ProductList:
    """A page of the catalogue; or, with `ids`, those of them that exist, without pages."""
    if ids is not None:
        return ProductList(items=[_view(product) for product in await catalogue.several(_ids(ids))])
    page = await catalogue.page(limit, cursor_of(cursor))
    return ProductList(
        items=[_view(product) for product in page.products], next_cursor=page.next and page.next.encode()
    )


@router.get("/{product_id}")
async def get_product(product_id: Id, catalogue: TheCatalogue) -> ProductView:
    return _view(await _existing(catalogue, product_id))


@router.post("", status_code=HTTPStatus.CREATED, openapi_extra=IDEMPOTENT)
async def create_product(
    body: NewProduct,
    admin: Admin,
    engine: TheEngine,
    response: Response,
    idempotency_key: IdempotencyKeyHeader,
) -> ProductView:
    """With the same Idempotency-Key, the same product."""
    key = idempotency_key and Key(
        key_id(f"create-product/{admin.id}", idempotency_key), request_hash(body.model_dump(mode="json"))
    )
    command = CreateProduct(
        product_id=str(uuid.uuid4()),
        key=key or None,
        name=body.name,
        description=body.description,
        price=Price(money.to_minor(body.price, body.currency), body.currency),
        initial_stock=body.initial_stock,
    )
    decision = await engine.execute(command, id_=command.product_id)
    product = await _after(engine, decision.reply, command)
    response.headers["Location"] = f"{router.prefix}/{product.id}"
    return _view(product)


@router.patch("/{product_id}")
async def change_product(
    product_id: Id, body: Changes, _: Admin, engine: TheEngine, catalogue: TheCatalogue
) -> ProductView:
    price = None if body.price is None else await _price(catalogue, product_id, body.price, body.currency)
    command = ChangeProduct(product_id=product_id, name=body.name, description=body.description, price=price)
    decision = await engine.execute(command, id_=str(uuid.uuid4()))
    product = await _after(engine, decision.reply, command)
    await catalogue.forget(product_id)
    return _view(product)


@router.delete("/{product_id}", status_code=HTTPStatus.NO_CONTENT)
async def delete_product(product_id: Id, _: Admin, engine: TheEngine, catalogue: TheCatalogue) -> None:
    await engine.execute(DeleteProduct(product_id=product_id), id_=str(uuid.uuid4()))
    await catalogue.forget(product_id)


async def _existing(catalogue: Catalogue, product_id: str) -> Product:
    product = await catalogue.one(product_id)
    if product is None:
        raise NotFound(f"there is no product {product_id}")
    return product


async def _price(catalogue: Catalogue, product_id: str, amount: Decimal, currency: str | None) -> Price:
    """In the currency that the product has, unless told otherwise."""
    currency = currency or (await _existing(catalogue, product_id)).currency
    with _unprocessable():
        return Price(money.to_minor(amount, currency), currency)


def _ids(text: str) -> list[str]:
    ids = [id_ for id_ in text.split(",") if id_]
    if len(ids) > MOST_IDS:
        raise HTTPException(HTTPStatus.UNPROCESSABLE_ENTITY, f"at most {MOST_IDS} ids, not {len(ids)}")
    with _unprocessable():
        return [checked(id_) for id_ in ids]


@contextmanager
def _unprocessable() -> Iterator[None]:
    """What is wrong with a value becomes a problem for whoever sent it."""
    try:
        yield
    except ValueError as error:
        raise HTTPException(HTTPStatus.UNPROCESSABLE_ENTITY, str(error)) from error


async def _after(engine: Engine, reply: object, command: CreateProduct | ChangeProduct) -> Product:
    """The product as a command left it; read anew where its answer was lost on the way.

    By its key first: the command may have been a replay. Raises Unavailable where there is no such product.
    """
    if isinstance(reply, Product):
        return reply
    product_id = command.product_id
    if isinstance(command, CreateProduct) and command.key is not None:
        used = await engine.store.get(IdempotencyKey, command.key.id)
        product_id = earlier_subject(used, command.key.request, engine.clock.now()) or product_id
    product = await engine.store.get(Product, product_id)
    if product is None:
        raise Unavailable("it is not known whether this was done: try again, with the same key")
    return product


def _view(product: Product) -> ProductView:
    return ProductView(
        product_id=product.id,
        name=product.name,
        description=product.description,
        price=product.decimal_price,
        currency=product.currency,
        created_at=product.created_at,
        updated_at=product.updated_at,
    )
