"""What `make up` says: what is where, who may come in, and what to try next."""

import json
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.markup import escape

from dev.layout import Layout
from dev.ports import Ports

USUAL_DIRECTORY = Path(".run")


def remarks(layout: Layout, environment: Mapping[str, str]) -> Iterator[str]:
    """What may surprise: ports that are not the usual ones, and settings that came too late."""
    ports = Ports(environment, at_random=layout.random_ports, kept=layout.ports)
    if elsewhere := [f"{name} on {port} instead of {usual}" for name, (usual, port) in ports.moved().items()]:
        yield f"ports in use by other programs, so: {', '.join(elsewhere)}"
    if late := layout.differing(environment):
        yield f"it runs with another {', '.join(late)}: make restart SERVICE=..., or make down first"


def welcome(directory: Path) -> Iterator[str]:
    """Lines in rich's markup."""
    file = directory / "stack.json"
    stack = json.loads(file.read_text())
    if "gateway" not in stack:
        yield f"[bold]servers only[/]; their addresses: {escape(str(file))}"
        return
    yield f"[bold]gateway[/]        {stack['gateway']}"
    yield f"[bold]docs[/]           {stack['gateway']}/docs"
    if "jaeger" in stack:
        yield f"[bold]Jaeger[/]         {stack['jaeger']}"
    yield f"[bold]administrator[/]  {_login(stack['admin'])}"
    if "orders" in stack:
        yield f"[bold]customer[/]       {_login(stack['customer'])}"
    yield f"[bold]all of it[/]      {escape(str(file))}"
    yield ""
    yield from _next(stack, directory)


def _login(account: Mapping[str, str]) -> str:
    return escape(f"{account['email']}  {account['password']}")


def _next(stack: Mapping[str, Any], directory: Path) -> Iterator[str]:
    if directory.resolve() != USUAL_DIRECTORY.resolve():
        yield f"  export STACK_DIR={escape(shlex.quote(str(directory)))}"
    yield f"  export SHOP={stack['gateway']}"
    yield "  curl -s $SHOP/api/products | jq"
    if "orders" in stack:
        body = escape(shlex.quote(json.dumps(stack["customer"])))
        yield "  TOKEN=$(curl -s $SHOP/auth/login -H 'content-type: application/json' \\"
        yield f"    -d {body} | jq -r .accessToken)"
        yield '  curl -s $SHOP/api/orders -H "authorization: Bearer $TOKEN" \\'
        yield "    | jq -c '.items[] | {orderId, status, cancellationReason}'"
        yield _remarked(
            f"make logs ORDER={stack['orders']['card declined']}", "an order whose card was declined"
        )
    yield _remarked("make restart SERVICE=order", "one service; what ends by itself is started again anyway")
    if "jaeger" in stack:
        option = "" if directory.resolve() == USUAL_DIRECTORY.resolve() else ' --stack "$STACK_DIR"'
        yield _remarked(
            f".venv/bin/sagactl trace{option} ORDER", "draws the way of an order placed from now on"
        )
    else:
        yield _remarked("make traces", "the way of each order through all services")
    yield _remarked("make down", "stop it; the data stays")


def _remarked(command: str, remark: str) -> str:
    return f"  {command:<30} [dim]# {remark}[/]"
