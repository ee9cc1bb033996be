"""Buys one thing from a shop, through its front door, as a customer would: shows that it works."""

from typing import Annotated

import aiohttp
import typer

from sagactl.access import CODE, required, setting
from sagactl.faults import WrongError
from sagactl.shop import Client, Json
from sagactl.terminal import run

# A card may be declined, as one of ten is by the mock gateway: a working shop sells to the next one.
CARDS = 5


class SmokeError(WrongError):
    """The shop answered, but not as a working shop does."""


async def buy(gateway: str, email: str, password: str, within: float, code: str | None = None) -> Json:
    """Sell one piece of a new product to a new customer, each step within so many seconds; return the order.

    A pod that ends, or is killed, while it is asked is no fault of the shop: it is asked again.
    """
    timeout = aiohttp.ClientTimeout(total=10)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        visitor = Client(session, gateway, patience=within)
        seller = await visitor.log_in(email, password, code)
        product = await seller.add_product(stock=1, price="1.00", name="Smoke test", within=within)
        customer = await visitor.register("Smoke test")
        for _ in range(CARDS):
            order = await customer.place({product: 1})
            order = await customer.settled(order["orderId"], within=within)
            if order["cancellationReason"] != "PAYMENT_FAILED":
                break
        if order["status"] == "PAID":
            # Inventory hears of it by a message. What is reserved and sold is shown to administrators alone.
            await seller.stock_becomes(product, (0, 0, 1), within)
        await seller.remove_product(product)
    if order["status"] != "PAID":
        raise SmokeError(f"the order ended {order['status']} ({order.get('cancellationReason')})")
    return order


app = typer.Typer()


@app.command()
def smoke(
    gateway: Annotated[str, typer.Option(help="Address of the shop.", envvar="GATEWAY_URL")],
    patience: Annotated[float, typer.Option(help="Seconds to wait for each step.", min=0)] = 60,
) -> None:
    """Buy one product, and wait until it is paid and sold. Needs ADMIN_EMAIL and ADMIN_PASSWORD."""

    async def bought() -> Json:
        try:
            login = required("ADMIN_EMAIL"), required("ADMIN_PASSWORD")
            return await buy(gateway, *login, patience, setting(CODE))
        except TimeoutError as error:
            raise SmokeError(str(error) or f"not paid and sold within {patience:g} s") from error

    order = run(bought())
    typer.echo(f"order {order['orderId']} is {order['status']}, {order['totalPrice']} {order['currency']}")
