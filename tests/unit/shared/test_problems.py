"""Problem documents: what is wrong with which field, what is allowed there, and a code that has a page."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

import httpx
import pytest
import pytest_asyncio
from fastapi import APIRouter, FastAPI, Query
from pydantic import Field

from services.shared.contract.codes import Code
from services.shared.contract.decisions import KeyReused, NotFound, Overloaded, Refused, Unavailable
from services.shared.health import Readiness
from services.shared.http import kinds
from services.shared.http.app import ReadinessCheck, create_app
from services.shared.http.auth import Forbidden, KeysUnavailable, Unauthenticated
from services.shared.http.bodies import Body, Id
from services.shared.http.kinds import KINDS
from services.shared.http.routing import Route
from services.shared.settings import Settings

ROOT = Path(__file__).parents[3]
router = APIRouter(prefix="/baskets", route_class=Route)


class Item(Body):
    product_id: Id
    quantity: Annotated[int, Field(ge=1, le=9, strict=True)]


class Basket(Body):
    items: Annotated[list[Item], Field(min_length=1, max_length=3)]
    name: Annotated[str, Field(min_length=1, max_length=5)]
    gift: bool = False
    wrapping: Literal["red", "blue"] | None = None
    limit: Annotated[Decimal, Field(json_schema_extra={"x-allowed": "an amount"})] | None = None


@router.post("")
async def fill(basket: Basket) -> Basket:
    return basket


@router.get("")
async def look(limit: Annotated[int, Query(ge=1, le=100)] = 1) -> int:
    return limit


class ToySettings(Settings):
    service = "toy"
    port: int = 3000


@asynccontextmanager
async def life(_: FastAPI) -> AsyncIterator[ReadinessCheck]:
    async def ready() -> Readiness:
        return Readiness(ready=True, detail="ok")

    yield ready


@pytest_asyncio.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(create_app(ToySettings(), router, life))
    async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
        yield client


ITEM = {"productId": "lamp", "quantity": 1}
GOOD: dict[str, Any] = {"items": [ITEM], "name": "Ada"}
# What is sent; where it is wrong, as a pointer; what is said.
WRONG: list[tuple[Any, str, str]] = [
    (GOOD | {"name": ""}, "#/name", "give a text of 1 to 5 characters"),
    (GOOD | {"name": 1}, "#/name", "give a text of 1 to 5 characters"),
    ({"items": [ITEM]}, "#/name", "missing: give a text of 1 to 5 characters"),
    (GOOD | {"items": []}, "#/items", "give a list of 1 to 3 entries"),
    (GOOD | {"items": {}}, "#/items", "give a list of 1 to 3 entries"),
    (GOOD | {"items": [ITEM | {"quantity": 0}]}, "#/items/0/quantity", "give a whole number from 1 to 9"),
    (GOOD | {"items": [ITEM | {"quantity": "1"}]}, "#/items/0/quantity", "give a whole number from 1 to 9"),
    (
        GOOD | {"items": [ITEM, ITEM | {"productId": "a b"}]},
        "#/items/1/productId",
        "an id has 1 to 64 characters, which are letters of A to Z, digits, _ and -",
    ),
    (
        GOOD | {"items": [{"quantity": 1}]},
        "#/items/0/productId",
        "missing: give an id of 1 to 64 letters of A to Z, digits, _ and -",
    ),
    (GOOD | {"items": [3]}, "#/items/0", "give a JSON object with productId, quantity"),
    (GOOD | {"gift": "no idea"}, "#/gift", "give true or false"),
    (GOOD | {"wrapping": "green"}, "#/wrapping", "give one of red, blue"),
    (GOOD | {"limit": "much"}, "#/limit", "give an amount"),
    (GOOD | {"a/b~": 1}, "#/a~1b~0", "unknown field: the fields are items, name, gift, wrapping, limit"),
    (
        GOOD | {"items": [ITEM | {"price": 1}]},
        "#/items/0/price",
        "unknown field: the fields are productId, quantity",
    ),
    ([], "#", "give a JSON object with items, name"),
    (None, "#", "missing: give a JSON object with items, name"),
]


@pytest.mark.parametrize(("body", "pointer", "says"), WRONG)
async def test_what_is_wrong_is_pointed_at_and_what_is_allowed_is_said(
    client: httpx.AsyncClient, body: Any, pointer: str, says: str
) -> None:
    answer = await client.post("/baskets", json=body)
    problem = answer.json()
    (fault,) = problem["errors"]
    assert (answer.status_code, problem["code"], problem["type"]) == (422, "invalid", "/errors#invalid")
    assert (fault["in"], fault["pointer"], fault["message"]) == ("body", pointer, says)
    assert problem["detail"] == f"{fault['field']}: {says}"


async def test_a_parameter_has_no_pointer_and_what_is_allowed_all_the_same(client: httpx.AsyncClient) -> None:
    problem = (await client.get("/baskets?limit=101")).json()
    assert problem["errors"] == [
        {"in": "query", "field": "limit", "message": "give a whole number from 1 to 100"}
    ]


async def test_all_that_is_wrong_is_said_at_once(client: httpx.AsyncClient) -> None:
    problem = (await client.post("/baskets", json={"items": [], "colour": "red"})).json()
    assert [fault["field"] for fault in problem["errors"]] == ["items", "name", "colour"]


async def test_what_is_no_json_has_a_code_of_its_own(client: httpx.AsyncClient) -> None:
    for content in (b"{", b'"\xff"'):
        answer = await client.post("/baskets", content=content, headers={"Content-Type": "application/json"})
        assert (answer.status_code, answer.json()["code"]) == (400, "malformed-json")


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [("GET", "/nowhere", Code.NO_SUCH_PATH), ("PUT", "/baskets", Code.METHOD_NOT_ALLOWED)],
)
async def test_what_frameworks_say_has_a_code_too(
    client: httpx.AsyncClient, method: str, path: str, code: Code
) -> None:
    answer = await client.request(method, path)
    assert answer.json()["code"] == code
    assert answer.json()["type"] == f"/errors#{code}"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Refused(""), 409),
        (NotFound(""), 404),
        (KeyReused(""), 422),
        (Unavailable(""), 503),
        (Overloaded(""), 503),
        (KeysUnavailable(""), 503),
        (Forbidden(""), 403),
        (Unauthenticated(""), 401),
        (Unauthenticated("", Code.TOKEN_EXPIRED), 401),
    ],
)
def test_every_known_error_has_the_status_of_its_code(error: Any, status: int) -> None:
    assert KINDS[error.code].status == status


def test_every_code_has_its_kind_and_no_two_have_one_title() -> None:
    assert list(KINDS) == list(Code)
    assert len({kind.title for kind in KINDS.values()}) == len(Code)


def test_the_page_about_errors_is_the_one_that_make_docs_writes() -> None:
    page = (ROOT / "docs/errors.md").read_text()
    assert page == kinds.page(), "run make docs"
    assert re.findall(r"^## (.+)$", page, re.MULTILINE) == list(Code)
