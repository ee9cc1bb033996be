"""Starts a stack, plays every flow on it, holds all that happened against the invariants, and stops it."""

import os
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
from rich.console import Console

from dev.demo import flows, kills, repairs
from dev.demo.scene import Scene
from dev.demo.stage import Stage
from dev.interrupts import run
from dev.services import ALL, CONSOLE
from dev.stack import Stack
from sagactl.oncall.check import Expected
from sagactl.oncall.report_on_screen import check_stack
from sagactl.shop import Client

DIRECTORY = Path(os.environ.get("STACK_DIR", ".run")) / "demo"
# A second for the card makes it possible to see an order between its states.
SETTINGS = {"PAYMENT_DELAY_SECONDS": "1", "COMPENSATION_AUTO": "false"}
STORIES = (*flows.FLOWS, kills.killed_service, kills.killed_broker, repairs.lost_message)
NEXT = {
    "the same shop in the background; then the README's lines place an order": "make up",
    "the table of rules behind all of this": "services/order/saga.py",
    "the ten files that an order passes": "docs/an-order-step-by-step.md",
    "every other failure that the shop survives (minutes)": "make survive",
}


async def main() -> int:
    stage = Stage(Console())
    async with AsyncExitStack() as exits:
        with stage.working("MongoDB, RabbitMQ, Redis, seven services and the console start"):
            stack = Stack(DIRECTORY, settings=SETTINGS, services=ALL, random_ports=False, mailbox=True)
            await exits.enter_async_context(stack)
        session = await exits.enter_async_context(aiohttp.ClientSession())
        scene = await _prepare(stack, stage, Client(session, stack.gateway))
        for story in STORIES:
            await story(scene)
        stage.headline("The invariants", "Checked order by order, once nothing is under way any more.")
        expected = Expected(accepted=scene.accepted)
        stage.expect(
            "every invariant holds", holds=await check_stack(stack.directory, stage.console, expected)
        )
    return _verdict(stage)


async def _prepare(stack: Stack, stage: Stage, visitor: Client) -> Scene:
    run_id = f"{time.time():.0f}"  # an earlier demo's customers are still there
    admin = await visitor.log_in(stack.admin["email"], stack.admin["password"])
    alice = await visitor.register("Alice", f"alice-{run_id}@example.com", "correct horse battery")
    bob = await visitor.register("Bob", f"bob-{run_id}@example.com", "staple tragic lantern")
    teapot = await admin.add_product(5, "24.90", "USD", f"Teapot {run_id}")
    cup = await admin.add_product(40, "3.25", "USD", f"Cup {run_id}")
    where, login = stack.services[CONSOLE], "{email}, {password}".format(**stack.admin)
    stage.say(f"the console, while this runs: {where}, with {login}")
    stage.say("an administrator, two customers, 5 teapots at 24.90 and 40 cups at 3.25")
    return Scene(stack, stage, admin, alice, bob, teapot, cup, [])


def _verdict(stage: Stage) -> int:
    for failure in stage.failures:
        stage.console.print(f"[bold red]failed:[/] {failure}", highlight=False)
    if stage.failures:
        return 1
    stage.console.print("[bold green]Every order ended as it should.[/] What to look at next:")
    for what, where in NEXT.items():
        stage.console.print(f"  [bold]{where}[/]  {what}", highlight=False, soft_wrap=True)
    return 0


sys.exit(run(main()))
