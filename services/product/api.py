"""The catalogue over HTTP: anyone reads, administrators write."""

import json
import uuid
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from decimal import Decimal
from http import HTTPStatus
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response
from fastapi.routing import APIRoute

from services.product.bodies import Changes, NewProduct, ProductList, ProductView
from services.product.domain import ChangeProduct, CreateProduct, DeleteProduct, Key, Price, Product
from services.product.queries import Catalogue
from services.shared.contract import ids, money
from services.shared.contract.decisions import Decision, NotFound
from services.shared.contract.idempotency import key_id, request_hash
from services.shared.engine.life import TheEngine
from services.shared.http.app import IDEMPOTENT, Admin, IdempotencyKeyHeader
from services.shared.http.bodies import Id
from services.shared.http.cursors import LONGEST, cursor_of

# As many as a page may have: whole products come back, and the gateway holds the answer.
MOST_IDS: Final = 100
LONGEST_LIST: Final = MOST_IDS * (ids.LONGEST + 1)


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


async def _catalogue(request: Request) -> Catalogue:
    catalogue: Catalogue = request.app.state.catalogue
    return catalogue


TheCatalogue = Annotated[Catalogue, Depends(_catalogue)]
router = APIRouter(prefix="/api/products", tags=["products"], route_class=_ExactRoute)


@router.get("")
async def list_products(
    catalogue: TheCatalogue,
    ids: Annotated[
        str | None,
        Query(description=f"Up to {MOST_IDS}, separated by commas", max_length=LONGEST_LIST),
    ] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    cursor: Annotated[
        str | None, Query(max_length=LONGEST, description="`nextCursor` of the page before")
    ] = None,
) -> ProductList:
    """A page of the catalogue; or, with `ids`, those of them that exist, without pages."""
    if ids is not None:
        return ProductList(items=[ProductView.of(product) for product in await catalogue.several(_ids(ids))])
    page = await catalogue.page(limit, cursor_of(cursor))
    return ProductList(
        items=[ProductView.of(product) for product in page.products],
        next_cursor=page.next and page.next.encode(),
    )


@router.get("/{product_id}")
async def get_product(product_id: Id, catalogue: TheCatalogue) -> ProductView:
    return ProductView.of(await _existing(catalogue, product_id))


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
    product = _product(await engine.execute(command, id_=command.product_id))
    response.headers["Location"] = f"{router.prefix}/{product.id}"
    return ProductView.of(product)


@router.patch("/{product_id}")
async def change_product(
    product_id: Id, body: Changes, _: Admin, engine: TheEngine, catalogue: TheCatalogue
) -> ProductView:
    price = None if body.price is None else await _price(catalogue, product_id, body.price, body.currency)
    command = ChangeProduct(product_id=product_id, name=body.name, description=body.description, price=price)
    product = _product(await engine.execute(command, id_=str(uuid.uuid4())))
    await catalogue.forget(product_id)
    return ProductView.of(product)


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
    asked = [id_ for id_ in text.split(",") if id_]
    if len(asked) > MOST_IDS:
        raise HTTPException(HTTPStatus.UNPROCESSABLE_ENTITY, f"at most {MOST_IDS} ids, not {len(asked)}")
    with _unprocessable():
        return [ids.checked(id_) for id_ in asked]


@contextmanager
def _unprocessable() -> Iterator[None]:
    """A ValueError becomes a 422 that says what is wrong with the value."""
    try:
        yield
    except ValueError as error:
        raise HTTPException(HTTPStatus.UNPROCESSABLE_ENTITY, str(error)) from error


def _product(decision: Decision) -> Product:
    product: Product = decision.reply  # type: ignore[assignment]  # every command of the catalogue answers so
    return product
