"""Takes orders, and starts a workflow on Temporal for each."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Final
from uuid import uuid4

from fastapi import FastAPI, Request
from temporalio.client import Client

from bench.peers.bodies import Order, Placed
from bench.peers.on_temporal import TASK_QUEUE
from bench.peers.on_temporal import Placed as Begun

# Checkout or CheckoutLocally.
WORKFLOW: Final = os.environ["WORKFLOW"]


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.temporal = await Client.connect(os.environ["TEMPORAL_ADDRESS"])
    yield


app: Final = FastAPI(lifespan=lifespan)


@app.post("/api/orders", status_code=201)
async def place(order: Order, request: Request) -> Placed:
    temporal: Client = request.app.state.temporal
    order_id = str(uuid4())
    await temporal.start_workflow(
        WORKFLOW,
        Begun(order.lines, order.payment_token, datetime.now(UTC).isoformat()),
        id=order_id,
        task_queue=TASK_QUEUE,
    )
    return Placed(orderId=order_id)
