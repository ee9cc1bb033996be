"""Carries the sagas out: a Temporal worker, a process of its own."""

import asyncio
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import sqlalchemy as sa
from temporalio.client import Client
from temporalio.worker import PollerBehaviorAutoscaling, Worker

from bench.peers.on_temporal import TASK_QUEUE, Activities, Checkout, CheckoutLocally

THREADS: Final = 20


async def main() -> None:
    client = await Client.connect(os.environ["TEMPORAL_ADDRESS"])
    engine = sa.create_engine(os.environ["DATABASE_URL"], pool_size=THREADS)
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    with ThreadPoolExecutor(THREADS) as threads:
        worker = Worker(
            client,
            task_queue=TASK_QUEUE,
            workflows=[Checkout, CheckoutLocally],
            activities=Activities(engine).all,
            activity_executor=threads,
            max_concurrent_activities=THREADS,
            max_concurrent_local_activities=THREADS,
            workflow_task_poller_behavior=PollerBehaviorAutoscaling(),
            activity_task_poller_behavior=PollerBehaviorAutoscaling(),
        )
        async with worker:
            await stopped.wait()


if __name__ == "__main__":
    asyncio.run(main())
