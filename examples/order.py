"""Places an order with the generated Python client, and waits for what becomes of it.

make clients
.run/clients/venv/bin/python examples/order.py http://127.0.0.1:3003
"""

import sys
import time
from typing import TypeVar
from uuid import uuid4

from sagashop_client import AuthenticatedClient, Client
from sagashop_client.api.auth import log_in, register
from sagashop_client.api.orders import create_order, get_order
from sagashop_client.api.products import list_products
from sagashop_client.models import (
    Credentials,
    NewOrder,
    OrderBody,
    Problem,
    ProductStockBody,
    ProductView,
    Registration,
)

WITHIN_SECONDS = 60.0
T = TypeVar("T")


def done(answer: T | Problem | None) -> T:
    """What was asked for, where it is no problem document."""
    if isinstance(answer, Problem):
        sys.exit(f"{answer.code.value}: {answer.detail}")
    if answer is None:
        sys.exit("an answer that the description does not know")
    return answer


def is_there(product: ProductView) -> bool:
    return isinstance(product.stock, ProductStockBody) and product.stock.available > 0


def main(url: str) -> None:
    email, password = f"{uuid4()}@example.com", str(uuid4())
    with Client(base_url=url) as visitor:
        done(register.sync(client=visitor, body=Registration(email=email, password=password, name="Ann")))
        session = done(log_in.sync(client=visitor, body=Credentials(email=email, password=password)))
        products = done(list_products.sync(client=visitor, include="stock")).items
    lamp = next(product for product in products if is_there(product))

    with AuthenticatedClient(base_url=url, token=session.access_token) as client:
        wanted = NewOrder(ids=[lamp.product_id], quantities=[1], payment_token="tok_success")  # noqa: S106  # a test card
        key = str(uuid4())
        order = done(create_order.sync(client=client, body=wanted, idempotency_key=key))
        again = done(create_order.sync(client=client, body=wanted, idempotency_key=key))
        if again.order_id != order.order_id:
            sys.exit("the same Idempotency-Key has placed two orders")
        order = settled(client, order)
    print(f"{order.order_id} {order.status.value} {order.total_price} {order.currency}: {lamp.name}")


def settled(client: AuthenticatedClient, order: OrderBody) -> OrderBody:
    end = time.monotonic() + WITHIN_SECONDS
    while not order.settled:
        if time.monotonic() > end:
            sys.exit(f"{order.order_id} is {order.status.value} after {WITHIN_SECONDS:g} s")
        time.sleep(0.2)
        order = done(get_order.sync(order.order_id, client=client))
    return order


if __name__ == "__main__":
    main(sys.argv[1])
