"""Who buys, and who administers: the shop as they see it."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Any, Final

import httpx

from sagactl.oncall.books import Books
from sagactl.oncall.invariants import Finding, check_case
from sagactl.polling import until
from sagactl.shop import Client, Json, ShopError, Stock
from services.payment.payment import ENDS, Payment
from tests.integration.saga.house import PATIENCE, Visit

PASSWORD: Final = "correct horse battery staple"
# Access tokens last 15 minutes, and a run may be longer.
LOGIN_AGAIN_SECONDS: Final = 300.0


class Customers(Visit):
    """Accounts are made when they are first heard of; `admin` is the administrator."""

    # --- who --------------------------------------------------------------------------------------------

    async def client(self, who: str) -> Client:
        visitor = Client(self.session, self.stack.gateway)
        token, since = self.house.logins.get(who, ("", float("-inf")))
        if time.monotonic() - since > LOGIN_AGAIN_SECONDS:
            token = (await self._login(visitor, who)).token
            self.house.logins[who] = (token, time.monotonic())
        return replace(visitor, name=who, token=token, patience=self.patience)

    async def _login(self, visitor: Client, who: str) -> Client:
        if who == "admin":
            return await visitor.log_in(self.stack.admin["email"], self.stack.admin["password"])
        if who not in self.house.logins:
            try:
                return await visitor.register(who, email_of(who), PASSWORD)
            except ShopError as error:
                if error.status != HTTPStatus.CONFLICT:  # just registered, by a task beside us
                    raise
        return await visitor.log_in(email_of(who), PASSWORD)

    async def headers(self, who: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {(await self.client(who)).token}"}

    async def headers_anew(self, who: str) -> dict[str, str]:
        """After all logins of the account have ended: to `auth`, tokens from before are nothing."""
        self.house.logins[who] = ("", float("-inf"))
        return await self.headers(who)

    # --- buying -----------------------------------------------------------------------------------------

    async def product(self, stock: int = 10, price: str = "10.00", currency: str = "USD") -> str:
        """A product that inventory has heard of."""
        return await (await self.client("admin")).add_product(stock, price, currency, "Lamp")

    async def try_to_place(
        self, products: Mapping[str, int], *, who: str = "alice", card: str = "tok_success", **more: Any
    ) -> httpx.Response:
        wanted = {"ids": [*products], "quantities": [*products.values()], "paymentToken": card}
        answer = await self.http.post("/api/orders", json=wanted | more, headers=await self.headers(who))
        if answer.status_code == HTTPStatus.CREATED:
            self.house.accepted[answer.json()["orderId"]] = self.test
        return answer

    async def place(
        self, products: Mapping[str, int], *, who: str = "alice", card: str = "tok_success", **more: Any
    ) -> str:
        """Placed once, and as soon as the shop takes it: many at once may be told to come back."""
        buyer = replace(await self.client(who), patience=PATIENCE)
        order_id = str((await buyer.place(products, card, **more))["orderId"])
        self.house.accepted[order_id] = self.test
        return order_id

    async def cancel(self, order_id: str, *, who: str = "alice") -> httpx.Response:
        return await self.http.post(f"/api/orders/{order_id}/cancel", headers=await self.headers(who))

    async def compensate(
        self, order_id: str, *, status: str = "CONFIRMED", older_than: float = 0, at: str = "order"
    ) -> str:
        """As the operator does it, at one replica of the order service. Returns the outcome."""
        url = {replica.name: replica.url for replica in self.stack.replicas}[at]
        answer = await self.http.post(
            f"{url}/internal/orders/{order_id}/compensate",
            json={"reason": "SAGA_TIMEOUT", "status": status, "olderThan": older_than},
            headers=await self.headers("admin"),
        )
        assert answer.status_code == 200, answer.text
        outcome: str = answer.json()["outcome"]
        return outcome

    # --- looking ----------------------------------------------------------------------------------------

    async def order(self, order_id: str) -> Json:
        return await (await self.client("admin")).order(order_id)

    async def becomes(
        self, order_id: str, condition: Callable[[Json], bool], within: float = PATIENCE
    ) -> Json:
        """The order, once it is so."""
        return await (await self.client("admin")).becomes(order_id, condition, within)

    async def settles(self, order_id: str, status: str, within: float = PATIENCE) -> Json:
        """The order, once it has settled so, and stock, payment and customer have heard of its end.

        For the order service it settles earlier: `becomes` and `is_at` say when, also where somebody who
        would have to hear of it is away.
        """
        order = await (await self.client("admin")).settled(order_id, within)
        assert order["status"] == status, order
        await self.all_heard_of_the_end(order_id, within)
        return order

    async def all_heard_of_the_end(self, order_id: str, within: float = PATIENCE) -> None:
        """Returns once the books of all services agree about the order."""

        async def open_ends() -> list[Finding]:
            (case,) = await Books(self.mongodb).these([order_id])
            return [*check_case(case)]

        what = f"the end of order {order_id} in all books"
        await until(open_ends, lambda found: not found, within=within, what=what)

    async def money_is_back(self, order_id: str) -> None:
        """Returns once nothing is kept of a payment that has come to its end; at most one was captured."""
        payments = self.database("payment")[Payment.collection]

        async def kept() -> tuple[str, int, int]:
            payment = await payments.find_one({"_id": order_id}) or {}
            entries = await self.ledger(order_id)
            return payment.get("state", ""), entries["captured"], entries["refunded"]

        def is_nothing(found: tuple[str, int, int]) -> bool:
            state, captured, refunded = found
            return state in ENDS and captured == refunded <= 1

        await until(kept, is_nothing, within=PATIENCE, what=f"no money kept of order {order_id}")

    async def is_at(self, order_id: str, status: str) -> Json:
        return await (await self.client("admin")).at(order_id, status)

    async def stock(self, product_id: str) -> Stock:
        return await (await self.client("admin")).stock(product_id)

    async def stock_becomes(
        self, product_id: str, wanted: tuple[int, int, int], within: float = PATIENCE
    ) -> None:
        await (await self.client("admin")).stock_becomes(product_id, wanted, within)

    async def events_of(self, order_id: str) -> list[str]:
        """What the order's timeline shows."""
        return [entry["event"] for entry in await (await self.client("admin")).timeline(order_id)]


def email_of(who: str) -> str:
    return f"{who}@shop.example"
