"""Starts a stack, plays every flow on it, holds all that happened against the invariants, and stops it."""

import os
import sys
import time
from pathlib import Path

import aiohttp
from rich.console import Console

from dev.demo.flows import FLOWS, Scene
from dev.demo.stage import Stage
from dev.interrupts import run
from dev.stack import Stack
from sagactl.oncall.check import Expected, check_stack
from sagactl.shop import Client

DIRECTORY = Path(os.environ.get("STACK_DIR", ".run")) / "demo"
# A second for the card makes it possible to see an order between its states.
SETTINGS = {"PAYMENT_DELAY_SECONDS": "1", "COMPENSATION_AUTO": "false"}


async def main() -> int:
    stage = Stage(Console())
    stage.say("starting MongoDB, RabbitMQ, Redis and seven services")
    began = time.monotonic()
    async with (
        Stack(DIRECTORY, settings=SETTINGS, random_ports=False) as stack,
        aiohttp.ClientSession() as session,
    ):
        stage.say(f"up after {time.monotonic() - began:.1f} s: {stack.gateway}")
        scene = await _prepare(stack, stage, Client(session, stack.gateway))
        for flow in FLOWS:
            await flow(scene)
        stage.headline("The invariants", "Over all orders, one by one, when nothing is on its way any more.")
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
    stage.say("an administrator, two customers, 5 teapots at 24.90 and 40 cups at 3.25")
    return Scene(stack, stage, admin, alice, bob, teapot, cup, [])


def _verdict(stage: Stage) -> int:
    for failure in stage.failures:
        stage.console.print(f"[bold red]not so:[/] {failure}", highlight=False)
    if not stage.failures:
        stage.console.print("[bold green]Every order ended as it should.[/]")
    return int(bool(stage.failures))


sys.exit(run(main()))
