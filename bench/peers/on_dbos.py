"""The order saga on DBOS: a workflow that FastAPI starts, as in DBOS' own example of a shop.

Steps that write to the shop's own database are transactions of a datasource: DBOS does each exactly once.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Final

import sqlalchemy as sa
from dbos import DBOS, DBOSConfig, SQLAlchemyDatasource
from fastapi import FastAPI
from sqlalchemy.orm import Session

from bench.peers import store
from bench.peers.bodies import Order, Placed
from bench.peers.store import Line

URL: Final = os.environ["DATABASE_URL"]
engine: Final = sa.create_engine(URL, pool_size=20)
shop: Final = SQLAlchemyDatasource.create(URL, engine=engine)
# Each transaction says in its own WHERE what must be so; nothing else has to be serializable.
ISOLATION: Final = "READ COMMITTED"


@shop.transaction(isolation_level=ISOLATION)
def create(order_id: str, lines: list[Line], created_at: datetime) -> int:
    return store.create(shop.sql_session(), order_id, lines, created_at)


@shop.transaction(isolation_level=ISOLATION)
def reserve(order_id: str, lines: list[Line]) -> None:
    store.reserve(shop.sql_session(), order_id, lines)


@DBOS.step(retries_allowed=True)
def charge(order_id: str, amount: int, token: str) -> bool:
    """The payment gateway is somebody else: not in a transaction of ours."""
    with Session(engine) as session, session.begin():
        return store.charge(session, order_id, amount, token)


@shop.transaction(isolation_level=ISOLATION)
def pay(order_id: str, lines: list[Line]) -> None:
    store.pay(shop.sql_session(), order_id, lines)


@shop.transaction(isolation_level=ISOLATION)
def release(order_id: str, lines: list[Line]) -> None:
    store.release(shop.sql_session(), order_id, lines)


@shop.transaction(isolation_level=ISOLATION)
def cancel(order_id: str) -> None:
    store.cancel(shop.sql_session(), order_id)


@shop.transaction(isolation_level=ISOLATION)
def notify(order_id: str, kind: str) -> None:
    store.notify(shop.sql_session(), order_id, kind)


@DBOS.workflow()
def checkout(lines: list[Line], token: str, created_at: datetime) -> str:
    order_id = DBOS.workflow_id or ""
    total = create(order_id, lines, created_at)
    try:
        reserve(order_id, lines)
    except store.OutOfStockError:
        cancel(order_id)
        notify(order_id, "ORDER_CANCELLED")
        return "CANCELLED"
    if not charge(order_id, total, token):
        release(order_id, lines)
        notify(order_id, "ORDER_CANCELLED")
        return "CANCELLED"
    pay(order_id, lines)
    notify(order_id, "ORDER_PAID")
    return "PAID"


# --- HTTP ---------------------------------------------------------------------------------------------------


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    DBOS.launch()
    yield
    DBOS.destroy()


config: Final[DBOSConfig] = {
    "name": "peer",
    "system_database_url": URL,
    "log_level": "WARNING",
    # By which a process that is started again finds the workflows that it had.
    "executor_id": os.environ["PROCESS"],
}
DBOS(config=config)
app: Final = FastAPI(lifespan=lifespan)


@app.post("/api/orders", status_code=201)
def place(order: Order) -> Placed:
    handle = DBOS.start_workflow(checkout, order.lines, order.payment_token, datetime.now(UTC))
    return Placed(orderId=handle.workflow_id)
