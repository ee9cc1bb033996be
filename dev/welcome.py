"""What `make up` says: what is where, who may come in, and what to try next."""

import json
from collections.abc import Iterator, Mapping

from rich.markup import escape

from dev.ports import Ports
from dev.seed import Seeded
from dev.stack import Stack


def moved(ports: Ports) -> str | None:
    """Which ports are not the usual ones, because those are in use."""
    elsewhere = [f"{name} on {port} instead of {usual}" for name, (usual, port) in ports.moved().items()]
    return f"ports in use by other programs, so: {', '.join(elsewhere)}" if elsewhere else None


def welcome(stack: Stack, seeded: Seeded | None) -> Iterator[str]:
    """Lines in rich's markup."""
    if "gateway" not in stack.services:
        yield f"[bold]servers only[/]; their addresses: {escape(str(stack.directory / 'stack.json'))}"
        return
    yield f"[bold]gateway[/]        {stack.gateway}"
    yield f"[bold]docs[/]           {stack.gateway}/docs"
    if stack.jaeger:
        yield f"[bold]Jaeger[/]         {stack.jaeger.url}"
    yield f"[bold]administrator[/]  {_login(stack.admin)}"
    if seeded:
        yield f"[bold]customer[/]       {_login(stack.customer)}"
    yield f"[bold]all of it[/]      {escape(str(stack.directory / 'stack.json'))}"
    yield ""
    yield from _next(stack, seeded)


def _login(account: Mapping[str, str]) -> str:
    return escape(f"{account['email']}  {account['password']}")


def _next(stack: Stack, seeded: Seeded | None) -> Iterator[str]:
    yield f"  export SHOP={stack.gateway}"
    yield "  curl -s $SHOP/api/products | jq"
    if seeded:
        body = escape(json.dumps(dict(stack.customer)))
        yield "  TOKEN=$(curl -s $SHOP/auth/login -H 'content-type: application/json' \\"
        yield f"    -d '{body}' | jq -r .accessToken)"
        yield '  curl -s $SHOP/api/orders -H "authorization: Bearer $TOKEN" \\'
        yield "    | jq -c '.items[] | {orderId, status, cancellationReason}'"
        yield _remarked(
            f"make logs ORDER={seeded.orders['card declined']}", "an order whose card was declined"
        )
    yield _remarked("make restart SERVICE=order", "one service; what ends by itself is started again anyway")
    if stack.jaeger:
        yield _remarked(
            ".venv/bin/sagactl trace ORDER", "draws the way of an order that is placed from now on"
        )
    else:
        yield _remarked("make traces", "the way of each order through all services")
    yield _remarked("make down", "stop it; the data stays")


def _remarked(command: str, remark: str) -> str:
    return f"  {command:<30} [dim]# {remark}[/]"
