"""The catalogue over HTTP: anyone reads, administrators write."""

import json
import uuid
from collections.abc import Callable, Coroutine, Sequence
from decimal import Decimal
from http import HTTPStatus
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request, Response

from services.product.bodies import Changes, NewProduct, ProductList, ProductView
from services.product.domain import ChangeProduct, CreateProduct, DeleteProduct, NotAPrice, Price, Product
from services.product.queries import Catalogue, Page
from services.product.stock import Stocks
from services.shared.contract import money
from services.shared.contract.codes import Code
from services.shared.contract.decisions import Decision, NotFound
from services.shared.contract.idempotency import Key, key_of
from services.shared.engine.life import TheEngine
from services.shared.http.auth import User
from services.shared.http.bodies import LONGEST_LIST, MOST_IDS, Id, listed
from services.shared.http.cursors import LONGEST, cursor_of
from services.shared.http.dependencies import IDEMPOTENT, Holder, IdempotencyKeyHeader, replay
from services.shared.http.described import described
from services.shared.http.origin import by
from services.shared.http.rights import Right
from services.shared.http.routing import Route
from services.shared.http.validation import invalid


class _ExactRequest(Request):
    """Reads JSON numbers as decimals: as binary floats they would be other amounts."""

    async def json(self) -> Any:  # noqa: ANN401  # JSON
        return json.loads(await self.body(), parse_float=Decimal)


class _ExactRoute(Route):
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def exactly(request: Request) -> Response:
            return await handle(_ExactRequest(request.scope, request.receive))

        return exactly


async def _catalogue(request: Request) -> Catalogue:
    catalogue: Catalogue = request.app.state.catalogue
    return catalogue


async def _stocks(request: Request) -> Stocks:
    stocks: Stocks = request.app.state.stocks
    return stocks


TheCatalogue = Annotated[Catalogue, Depends(_catalogue)]
TheStocks = Annotated[Stocks, Depends(_stocks)]
Editor = Annotated[User, Depends(Holder(Right.EDIT_PRODUCTS))]
router = APIRouter(prefix="/api/products", tags=["products"], route_class=_ExactRoute)


@router.get("", response_model_exclude_unset=True)
async def list_products(
    catalogue: TheCatalogue,
    stocks: TheStocks,
    ids: Annotated[
        str | None,
        Query(description=f"Up to {MOST_IDS} ids, separated by commas", max_length=LONGEST_LIST),
    ] = None,
    include: Annotated[
        Literal["stock"] | None, Query(description="`stock`: also the stock of each product")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    cursor: Annotated[
        str | None, Query(max_length=LONGEST, description="`nextCursor` of the previous page")
    ] = None,
) -> ProductList:
    """A page of the catalogue; with `ids`, all of these products that exist, without pages."""
    if ids is None:
        page = await catalogue.page(limit, cursor_of(cursor))
    else:
        page = Page(await catalogue.several(listed(ids)), None)
    return ProductList(
        items=await _views(page.products, stocks if include else None),
        next_cursor=page.next and page.next.encode(),
    )


async def _views(products: Sequence[Product], stocks: Stocks | None) -> list[ProductView]:
    """With the stock of each, where it is asked for."""
    views = [ProductView.of(product) for product in products]
    if stocks is None:
        return views
    available = await stocks.available([view.product_id for view in views])
    return [view.with_stock(available.get(view.product_id)) for view in views]


@router.get("/{product_id}", response_model_exclude_unset=True)
async def get_product(product_id: Id, catalogue: TheCatalogue) -> ProductView:
    """One product."""
    return ProductView.of(await _existing(catalogue, product_id))


@router.post(
    "",
    status_code=HTTPStatus.CREATED,
    response_model_exclude_unset=True,
    openapi_extra=IDEMPOTENT,
    responses=described([Code.IDEMPOTENCY_KEY_REUSED]),
)
async def create_product(
    body: NewProduct,
    admin: Editor,
    engine: TheEngine,
    request: Request,
    response: Response,
    idempotency_key: IdempotencyKeyHeader,
) -> ProductView:
    """Create a product. The same Idempotency-Key returns the same product."""
    command = CreateProduct(
        product_id=str(uuid.uuid4()),
        key=_key("create-product", admin, idempotency_key, body.model_dump(mode="json")),
        name=body.name,
        description=body.description,
        price=Price(money.to_minor(body.price, body.currency), body.currency),
        initial_stock=body.initial_stock,
    )
    decision = await engine.execute(command, id_=command.product_id, by=by(request, admin))
    product = _product(decision)
    response.headers.update({"Location": f"{router.prefix}/{product.id}", **replay(decision)})
    return ProductView.of(product)


@router.patch(
    "/{product_id}",
    response_model_exclude_unset=True,
    openapi_extra=IDEMPOTENT,
    responses=described([Code.IDEMPOTENCY_KEY_REUSED]),
)
async def change_product(  # noqa: PLR0917  # FastAPI passes them by name
    product_id: Id,
    body: Changes,
    admin: Editor,
    engine: TheEngine,
    catalogue: TheCatalogue,
    request: Request,
    response: Response,
    idempotency_key: IdempotencyKeyHeader,
) -> ProductView:
    """Change the fields that are sent. Existing orders keep their name and price."""
    asked = [product_id, body.model_dump(mode="json", exclude_unset=True)]
    command = ChangeProduct(
        product_id=product_id,
        name=body.name,
        description=body.description,
        price=body.price,
        currency=body.currency,
        key=_key("change-product", admin, idempotency_key, asked),
    )
    try:
        decision = await engine.execute(command, id_=str(uuid.uuid4()), by=by(request, admin))
    except NotAPrice as error:
        raise invalid("body", ["price"], str(error)) from error
    await catalogue.forget(product_id)
    response.headers.update(replay(decision))
    return ProductView.of(_product(decision))


@router.delete(
    "/{product_id}",
    status_code=HTTPStatus.NO_CONTENT,
    openapi_extra=IDEMPOTENT,
    responses=described([Code.IDEMPOTENCY_KEY_REUSED]),
)
async def delete_product(  # noqa: PLR0917  # FastAPI passes them by name
    product_id: Id,
    admin: Editor,
    engine: TheEngine,
    catalogue: TheCatalogue,
    request: Request,
    response: Response,
    idempotency_key: IdempotencyKeyHeader,
) -> None:
    """Remove a product from the catalogue. Existing orders of it continue."""
    command = DeleteProduct(
        product_id=product_id, key=_key("delete-product", admin, idempotency_key, [product_id])
    )
    decision = await engine.execute(command, id_=str(uuid.uuid4()), by=by(request, admin))
    await catalogue.forget(product_id)
    response.headers.update(replay(decision))


def _key(command: str, admin: User, given: str | None, request: object) -> Key | None:
    return key_of(f"{command}/{admin.id}", given, request)


async def _existing(catalogue: Catalogue, product_id: str) -> Product:
    product = await catalogue.one(product_id)
    if product is None:
        raise NotFound(f"there is no product {product_id}")
    return product


def _product(decision: Decision) -> Product:
    product: Product = decision.reply  # type: ignore[assignment]  # every command of the catalogue answers so
    return product
