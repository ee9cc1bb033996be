"""The console beside the running shop, with the users that it has there; and somebody at its pages."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from ipaddress import ip_network
from typing import Any, Final

import httpx

from console.main import make_app
from console.settings import ConsoleSettings
from sagactl.shop import ShopError
from tests.integration.room import running
from tests.integration.saga.customers import PASSWORD, email_of
from tests.integration.saga.shop import Shop
from tests.unit.console.pages import Page

# As a browser says it of a form on a page of the same origin.
OURS: Final = {"sec-fetch-site": "same-origin"}
NONE: Final[Mapping[str, str]] = {}
# Each somebody is at a place of their own, or they would be one who guesses passwords.
PLACES: Final = map(str, ip_network("198.18.0.0/15").hosts())


def settings_beside(shop: Shop, **more: Any) -> ConsoleSettings:
    stack, password = shop.stack, shop.stack.credentials.users["console"]
    given: dict[str, Any] = {
        "port": 3008,
        "mongodb_url": stack.mongodb.url_of("console", password),
        "amqp_url": stack.rabbitmq.url_of("console", password),
        "management_url": stack.rabbitmq.management_url_of("console", password),
        "redis_url": stack.redis.url_of("console", password),
        "auth_url": stack.services["auth"],
        "order_url": stack.services["order"],
        "gateway_url": stack.gateway,
        "product_url": stack.services["product"],
        "payment_url": stack.services["payment"],
        "inventory_url": stack.services["inventory"],
        "notification_url": stack.services["notification"],
        "jwks_url": f"{stack.services['auth']}/.well-known/jwks.json",
        # As the tests' client is.
        "trusted_proxies": "127.0.0.1",
        # It knows no host that is as good as TLS.
        "insecure_cookie": True,
    }
    return ConsoleSettings(**(given | more))


async def with_role(shop: Shop, role: str) -> Mapping[str, str]:
    """The login of an account with the role; with none for an empty one."""
    who = role or "nobody_special"
    await shop.client(who)
    if role:
        admin = await shop.client("admin")
        try:
            found = await admin.call("GET", f"/auth/accounts?email={email_of(who)}")
            (account,) = [each for each in found["items"] if each["email"] == email_of(who)]
            await admin.call("PATCH", f"/auth/accounts/{account['userId']}", {"roles": [role]})
        except ShopError as error:
            raise AssertionError(str(error)) from error
    return {"email": email_of(who), "password": PASSWORD}


class Somebody:
    """Reads pages, and sends their forms."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http
        self.csrf = ""

    async def get(self, path: str, status: int = 200, headers: Mapping[str, str] = NONE) -> Page:
        """The page at the end of all redirections."""
        answer = await self.http.get(path, headers=headers, follow_redirects=True)
        assert answer.status_code == status, (path, answer.status_code, answer.text[-2000:])
        return self._read(answer)

    async def post(self, path: str, form: Mapping[str, str], status: int = 200) -> Page:
        answer = await self.answer_to(path, form)
        if answer.is_redirect:
            return await self.get(answer.headers["location"], status)
        assert answer.status_code == status, (path, answer.status_code, answer.text[-2000:])
        return self._read(answer)

    async def answer_to(
        self, path: str, form: Mapping[str, str], headers: Mapping[str, str] = OURS
    ) -> httpx.Response:
        return await self.http.post(path, data={"csrf": self.csrf, **form}, headers=headers)

    async def sign_in(self, login: Mapping[str, str], status: int = 200) -> Page:
        return await self.post("/login", login, status)

    def _read(self, answer: httpx.Response) -> Page:
        assert answer.headers["content-security-policy"].startswith("default-src 'none'"), answer.headers
        assert answer.headers["cache-control"] == "no-store"
        page = Page(answer.text)
        tokens = [each["value"] for each in page.all_of("input") if each.get("name") == "csrf"]
        self.csrf = str(tokens[0]) if tokens else ""
        return page


@asynccontextmanager
async def at_the_console(shop: Shop, **more: Any) -> AsyncIterator[Somebody]:
    async with running(make_app(settings_beside(shop, **more))) as http:
        http.headers["x-forwarded-for"] = next(PLACES)
        yield Somebody(http)
