"""What the stories play with: the shop, its customers, its goods, and what each story does with an order."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from email.message import EmailMessage

from dev.demo.stage import Stage
from dev.stack import Stack
from sagactl.polling import NotInTimeError, until
from sagactl.shop import Client, Json, Stock

HEARD_WITHIN_SECONDS = 10


@dataclass(frozen=True)
class Scene:
    stack: Stack
    stage: Stage
    admin: Client
    alice: Client
    bob: Client
    teapot: str  # product ids
    cup: str
    accepted: list[str]  # ids of the orders that were answered 201

    async def stock(self, product_id: str) -> Stock:
        return await self.admin.stock(product_id)

    async def play(self, shopper: Client, quantities: Mapping[str, int], payment_token: str) -> Json:
        """Place an order and show it to its end."""
        order_id = await self.place(shopper, quantities, payment_token)
        return await self.follow(shopper, order_id, settled)

    async def place(self, shopper: Client, quantities: Mapping[str, int], payment_token: str) -> str:
        order = await shopper.place(quantities, payment_token)
        self.accepted.append(order["orderId"])
        wanted = " and ".join(f"{quantity} {self._name(product)}" for product, quantity in quantities.items())
        self.stage.say(
            f"{shopper.name} orders {wanted}: {order['totalPrice']} {order['currency']}, {payment_token}"
        )
        return str(order["orderId"])

    async def follow(self, shopper: Client, order_id: str, until: Callable[[Json], bool]) -> Json:
        """Show the order's events as they happen, until `until` holds for it."""
        return await self.stage.follow(shopper, order_id, f"{shopper.name}'s order {order_id}", until)

    async def stock_becomes(self, product_id: str, wanted: tuple[int, int, int]) -> None:
        """The order settles a moment before inventory has heard of it, so this waits a little."""
        with suppress(NotInTimeError):
            await self.admin.stock_becomes(product_id, wanted, within=HEARD_WITHIN_SECONDS)
        found = await self.stock(product_id)
        counts = f"{found.available} available, {found.reserved} reserved, {found.sold} sold"
        self.stage.expect(f"{self._name(product_id)}: {counts}", holds=found == wanted)

    async def mail_comes(self, subject: str) -> None:
        """The order settles a moment before the customer is told of it."""
        mailbox = self.stack.mailbox
        if mailbox is None:
            self.stage.say("mail goes to the server of SMTP_URL")
            return

        async def found() -> list[EmailMessage]:
            return [mail for mail in mailbox.mails() if mail["Subject"] == subject]

        with suppress(NotInTimeError):
            await until(found, within=HEARD_WITHIN_SECONDS, what="a mail")
        mails = await found()
        to = "nobody" if not mails else mails[0]["To"]
        self.stage.expect(f"mail to {to}: {subject}", holds=len(mails) == 1)

    @property
    def operator(self) -> Client:
        """At the order service itself: /internal is not for the gateway."""
        return replace(self.admin, url=self.stack.services["order"])

    async def stale(self, older_than: float) -> list[str]:
        """The ids of the orders that have been CONFIRMED for so many seconds."""
        query = f"status=CONFIRMED&olderThan={older_than}"
        found = await self.operator.call("GET", f"/internal/orders/stale?{query}")
        return [order["orderId"] for order in found["orders"]]

    def _name(self, product_id: str) -> str:
        return "teapot(s)" if product_id == self.teapot else "cup(s)"


def confirmed(order: Json) -> bool:
    return bool(order["status"] == "CONFIRMED")


def to_be_agreed(order: Json) -> bool:
    return order["nextAction"] is not None


def given_back(order: Json) -> bool:
    return bool(order["settled"] and all(refund["state"] == "DONE" for refund in order["refunds"]))


def settled(order: Json) -> bool:
    return bool(order["settled"])


def refunded(order: Json) -> bool:
    return bool(order["settled"] and order["compensation"]["refund"] == "done")
