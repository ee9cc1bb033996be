"""The console where nothing else is: it answers, lets nobody in, and says what does not answer."""

from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Final
from urllib.parse import urlencode

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI

from console.browsers import HEADERS
from console.main import make_app
from console.sessions import Session
from console.settings import ConsoleSettings
from console.visitors import Visitor
from sagactl.oncall.broker import BrokerError
from sagactl.oncall.invariants import Case
from sagactl.oncall.trails import Told
from services.shared.http.rights import Role
from tests.ports import free_port
from tests.unit.console.pages import Page, somebody
from tests.unit.explain.desk import ORDER, Desk

OURS: Final = {"sec-fetch-site": "same-origin"}
FORM: Final = {"content-type": "application/x-www-form-urlencoded"}
LOGIN: Final = {"email": "eve@shop.example", "password": "correct horse", "next": "/orders"}
BEHIND_THE_DOOR: Final = (
    "/",
    "/orders",
    "/orders?show=attention",
    "/stuck",
    "/queues",
    "/checks",
    "/orders/any/repair",
    "/mails",
    "/mails?show=never+sent",
    "/mails/preview",
    "/mails/any/resend",
    "/mails/example?kind=paid&language=en",
    "/orders/any",
    "/orders/all/cancel?status=PAID",
    "/orders/any/explain.json",
    "/orders/any/cancel",
    "/orders/any/refund",
    "/orders/any/compensate",
    "/letters",
    "/letters/discarded",
    "/letters/restore?queue=orders",
    "/letters/redrive?queue=orders",
    "/letters/discard?queue=orders",
    "/letter?queue=orders&id=x",
    "/jobs",
    "/jobs/any",
    "/products/any",
    "/products/any/restock?pieces=3",
    "/trail",
    "/find?q=x",
)


FORMS: Final = (
    "/login",
    "/logout",
    "/theme",
    "/orders/any/cancel",
    "/letters/redrive",
    "/products/any/restock",
    "/mails/any/resend",
    "/checks",
    "/jobs/any/stop",
    "/jobs/any/go-on",
    "/letters/restore",
    "/orders/all/refund",
)


@pytest_asyncio.fixture
async def app() -> AsyncIterator[FastAPI]:
    nobody = f"127.0.0.1:{free_port()}"
    settings = ConsoleSettings(
        mongodb_url=f"mongodb://{nobody}",
        amqp_url=f"amqp://{nobody}",
        management_url=f"http://{nobody}",
        redis_url=f"redis://{nobody}",
        auth_url=f"http://{nobody}",
        order_url=f"http://{nobody}",
        gateway_url=f"http://{nobody}",
        product_url=f"http://{nobody}",
        payment_url=f"http://{nobody}",
        inventory_url=f"http://{nobody}",
        notification_url=f"http://{nobody}",
        jwks_url=f"http://{nobody}/keys",
        insecure_cookie=True,
    )
    app = make_app(settings)
    async with app.router.lifespan_context(app):
        yield app


@pytest_asyncio.fixture
async def browser(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://console.example") as client:
        yield client


def read(answer: httpx.Response) -> Page:
    for name, value in HEADERS.items():
        assert answer.headers[name] == value, name
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    return Page(answer.text)


@pytest.mark.parametrize("path", BEHIND_THE_DOOR)
async def test_who_is_not_signed_in_is_led_to_the_login_and_back(
    browser: httpx.AsyncClient, path: str
) -> None:
    answer = await browser.get(path)
    assert answer.status_code == HTTPStatus.SEE_OTHER
    page = read(await browser.get(answer.headers["location"]))
    assert "Sign in" in page.text
    (there,) = [each["value"] for each in page.all_of("input") if each.get("name") == "next"]
    assert there == path


@pytest.mark.parametrize("path", BEHIND_THE_DOOR)
async def test_by_a_link_of_another_site_there_is_a_page_that_goes_on(
    browser: httpx.AsyncClient, path: str
) -> None:
    answer = await browser.get(path, headers={"sec-fetch-site": "cross-site"})
    assert answer.status_code == HTTPStatus.OK
    assert path in read(answer).links


class NoBroker:
    """A shop of which nobody can tell where messages are. Its order waits for payment."""

    async def case(self, _: str) -> Case:
        return Desk().heard("inventory", "orders").marks().case

    async def letter(self, *_: str) -> None:
        raise BrokerError("the broker does not answer")

    explained = letter

    async def trail(self, *_: object) -> list[Told]:
        return []


class OpenDoor:
    async def known(self, id_: str, address: str) -> Visitor:
        return Visitor(id_, Session("token", 0, "", "csrf", 0), somebody(Role.ADMIN), address)


@pytest.fixture
def without_broker(app: FastAPI, browser: httpx.AsyncClient) -> httpx.AsyncClient:
    """By somebody who is signed in."""
    app.state.door, app.state.shop = OpenDoor(), NoBroker()
    browser.cookies.set("console", "an id")
    return browser


async def test_what_may_be_done_to_an_order_is_told_without_the_broker(
    without_broker: httpx.AsyncClient,
) -> None:
    page = read(await without_broker.get(f"/orders/{ORDER}"))
    assert "the broker does not answer" in page.text
    assert f"/orders/{ORDER}/cancel" in page.links
    page = read(await without_broker.get(f"/orders/{ORDER}/cancel"))
    assert "This will be done: CONFIRMED -> CANCELLED" in page.text
    page = read(await without_broker.get(f"/orders/{ORDER}/refund"))
    assert "This cannot be done: the order is" in page.text


async def test_a_letter_that_nobody_can_look_for_is_not_said_to_be_none(
    without_broker: httpx.AsyncClient,
) -> None:
    answer = await without_broker.get("/letter?queue=orders&id=x")
    assert answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE
    assert "the broker does not answer" in read(answer).text


async def test_without_redis_nobody_is_let_in_and_nobody_is_told_to_sign_in_again(
    browser: httpx.AsyncClient,
) -> None:
    browser.cookies.set("console", "an id")
    answer = await browser.get("/orders")
    assert answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE
    assert "Redis does not answer. Nothing was done." in read(answer).text


async def test_without_the_auth_service_a_login_is_refused_with_its_reason(
    browser: httpx.AsyncClient,
) -> None:
    answer = await browser.post("/login", data=LOGIN, headers=OURS)
    assert answer.status_code == HTTPStatus.UNAUTHORIZED
    page = read(answer)
    assert "The auth service does not answer: try again." in page.text
    assert LOGIN["password"] not in page.html
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("path", FORMS)
@pytest.mark.parametrize("headers", [{}, {"sec-fetch-site": "cross-site"}, {"origin": "http://evil.example"}])
async def test_a_form_of_another_site_is_never_taken(
    browser: httpx.AsyncClient, path: str, headers: dict[str, str]
) -> None:
    answer = await browser.post(path, data=LOGIN, headers=headers)
    assert answer.status_code in {HTTPStatus.FORBIDDEN, HTTPStatus.SEE_OTHER}
    if answer.status_code == HTTPStatus.SEE_OTHER:  # nobody is signed in, whose form it could be
        assert answer.headers["location"].startswith("/login")
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    ("page", "led_to"),
    [
        (
            "http://console.example/letters/redrive?queue=orders&id=a%2Fb",
            "/letters/redrive?queue=orders&id=a%2Fb",
        ),
        ("http://evil.example/letters", "/"),
        ("http://console.example//evil.example/x", "/"),
        ("http://[console.example", "/"),
        ("", "/"),
    ],
)
async def test_a_form_of_somebody_whose_login_has_ended_leads_back_to_its_page(
    browser: httpx.AsyncClient, page: str, led_to: str
) -> None:
    answer = await browser.post("/letters/redrive", data={"reason": "x"}, headers={**OURS, "referer": page})
    assert answer.status_code == HTTPStatus.SEE_OTHER
    assert answer.headers["location"] == f"/login?{urlencode({'next': led_to})}"


@pytest.mark.parametrize(
    "next_", ["https://evil.example", "//evil.example", "/\\evil.example", "javascript:x"]
)
async def test_the_login_leads_to_no_other_site(browser: httpx.AsyncClient, next_: str) -> None:
    page = read(await browser.get("/login", params={"next": next_}))
    (there,) = [each["value"] for each in page.all_of("input") if each.get("name") == "next"]
    assert there == "/"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", HTTPStatus.NOT_FOUND),
        ("GET", "/login/further", HTTPStatus.NOT_FOUND),
        ("DELETE", "/login", HTTPStatus.METHOD_NOT_ALLOWED),
        ("GET", "/logout", HTTPStatus.METHOD_NOT_ALLOWED),
        ("GET", "/theme", HTTPStatus.METHOD_NOT_ALLOWED),
        ("POST", "/static/console.css", HTTPStatus.METHOD_NOT_ALLOWED),
        ("GET", "/static/nothing.css", HTTPStatus.NOT_FOUND),
        *(
            ("GET", path, HTTPStatus.NOT_FOUND)
            for path in ("/orders/a%2Fb", "/orders%2Fa", "/orders/a/b%2Fc")
        ),
    ],
)
async def test_what_is_not_there_is_a_page_as_well(
    browser: httpx.AsyncClient, method: str, path: str, status: HTTPStatus
) -> None:
    answer = await browser.request(method, path)
    assert answer.status_code == status
    assert "Go to Now" in read(answer).text
    assert ("allow" in answer.headers) is (status is HTTPStatus.METHOD_NOT_ALLOWED)


async def test_what_is_no_form_is_refused_before_anybody_looks(browser: httpx.AsyncClient) -> None:
    answer = await browser.post("/login", json=LOGIN, headers=OURS)
    assert answer.status_code == HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    assert "Send a form, with Content-Type" in read(answer).text
    answer = await browser.post("/login", content=b"email=" + 70_000 * b"x", headers={**OURS, **FORM})
    assert answer.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    assert "A body may have" in read(answer).text
    answer = await browser.get("/login", headers=[("accept", "a"), ("host", "a"), ("host", "b")])
    assert answer.status_code == HTTPStatus.BAD_REQUEST
    assert "Send the header host once." in read(answer).text
    answer = await browser.post("/login", content=b"email=%ff&email=x", headers={**OURS, **FORM})
    assert answer.status_code == HTTPStatus.FORBIDDEN


async def test_its_style_is_its_own_and_machines_are_answered(browser: httpx.AsyncClient) -> None:
    style = await browser.get("/static/console.css")
    assert style.headers["content-type"].startswith("text/css")
    assert style.headers["content-security-policy"].startswith("default-src 'none'")
    for path in ("/healthz", "/readyz", "/metrics"):
        assert (await browser.get(path)).is_success
    assert (await browser.get("/static/../main.py")).status_code == HTTPStatus.NOT_FOUND
    assert (await browser.get("/openapi.json")).status_code == HTTPStatus.NOT_FOUND
