"""`sagactl load` against a shop that works: it orders, tells a checker of it, leaves no product behind."""

import asyncio
import json
import os
import re
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from dev.services import REPOSITORY
from sagactl.exits import Exit
from sagactl.faults import UnavailableError, WrongError
from sagactl.oncall.accepted import promises
from sagactl.polling import until
from tests.integration.saga.shop import Shop
from tests.ports import free_port

WITHIN: Final = 120


@asynccontextmanager
async def sagactl(shop: Shop, *arguments: str) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sagactl", *arguments),
        cwd=REPOSITORY,
        env={**os.environ, "STACK_DIR": str(shop.stack.directory)},
        stdout=PIPE,
        stderr=PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def ended(process: Process) -> str:
    """What it printed, having found all well."""
    out, aside = await asyncio.wait_for(process.communicate(), WITHIN)
    assert process.returncode == Exit.FINE, (out + aside).decode()
    return out.decode()


async def test_its_orders_are_found_by_a_check_and_all_come_to_their_end(shop: Shop) -> None:
    port = free_port()
    accepted = f"http://127.0.0.1:{port}/accepted"

    async def known() -> list[str]:
        try:
            return await promises(accepted, patience=0)
        except (UnavailableError, WrongError):
            return []

    async with sagactl(shop, "load", "--rate", "5", "--port", str(port)) as load:
        await until(known, lambda ids: len(ids) > 5, within=WITHIN, what="some orders are accepted")
        expected = [f"--expect={each.invariant.name}:{each.subject}" for each in shop.house.known]
        live = ("check", "--live", "--since", "1m", "--accepted", accepted, "-o", "json", *expected)
        async with sagactl(shop, *live) as check:
            counted = json.loads(await ended(check))["counted"]
        assert re.search(r", [1-9]\d* known to be answered 201", counted["SAGA_ENDED"])
        ids = await known()
        load.send_signal(signal.SIGTERM)
        assert re.match(r"[1-9]\d* orders accepted", await ended(load))
    shop.house.accepted.update(dict.fromkeys(ids, shop.test))
    ends = [await shop.database("order")["orders"].find_one({"_id": id_}) for id_ in ids]
    assert {order["status"] for order in ends if order} <= {"PAID", "CANCELLED"}
    assert None not in ends
    products = shop.database("product")["products"]
    assert await products.count_documents({"name": {"$regex": "^Load test"}, "deleted": {"$ne": True}}) == 0
