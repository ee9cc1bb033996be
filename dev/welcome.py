"""What `make up` says: what is where, who may come in, and what to try next."""

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rich.markup import escape

from dev.layout import Layout, changeable
from dev.ports import Ports
from dev.services import KNOWN

USUAL_DIRECTORY = Path(".run")
# Of the page that a Jaeger without its web pages has instead of them.
PLACEHOLDER = b"placeholder for the Jaeger UI"
ANSWERS_WITHIN_SECONDS = 1.0


def remarks(directory: Path, layout: Layout, environment: Mapping[str, str]) -> Iterator[str]:
    """What may surprise: ports that are not the usual ones, and settings that came too late."""
    ports = Ports(environment, at_random=layout.random_ports, kept=layout.ports)
    if elsewhere := [f"{name} on {port} instead of {usual}" for name, (usual, port) in ports.moved().items()]:
        yield f"ports in use by other programs, so: {', '.join(elsewhere)}"
    for service, given in layout.environments.items():
        told = " ".join(f"{name}={_shown(name, value)}" for name, value in sorted(given.items()))
        yield f"{service} was restarted with {told}"
    if late := layout.differing(environment):
        yield f"it runs with another {', '.join(late)}: {_to_change(late, directory)}"


def _shown(name: str, value: str) -> str:
    return "..." if name.endswith(("PASSWORD", "KEY")) else value


def _to_change(names: Sequence[str], directory: Path) -> str:
    """How what runs gets other settings: those of one service by its restart, others by a new start."""
    here, per_service = _told(directory), changeable(KNOWN)
    down = f"{here}make down, then {here}make up"
    return f"{here}make restart SERVICE=..., or {down}" if per_service.issuperset(names) else down


def welcome(directory: Path) -> Iterator[str]:
    """Lines in rich's markup."""
    file = directory / "stack.json"
    stack = json.loads(file.read_text())
    if "gateway" not in stack:
        yield f"[bold]servers only[/]; their addresses: {escape(str(file))}"
        return
    yield f"[bold]gateway[/]        {stack['gateway']}"
    yield f"[bold]docs[/]           {stack['gateway']}/docs"
    if "console" in stack.get("services", {}):
        yield f"[bold]console[/]        {stack['services']['console']}"
    if "jaeger" in stack:
        yield from _jaeger(stack["jaeger"])
    if "mails" in stack:
        yield f"[bold]mails[/]          {escape(stack['mails'])}/*.eml"
    yield f"[bold]administrator[/]  {_login(stack['admin'])}"
    if "orders" in stack:
        yield f"[bold]customer[/]       {_login(stack['customer'])}"
    yield f"[bold]all of it[/]      {escape(str(file))}"
    yield ""
    yield from _next(stack, directory)


def _login(account: Mapping[str, str]) -> str:
    return escape(f"{account['email']}  {account['password']}")


def _next(stack: Mapping[str, Any], directory: Path) -> Iterator[str]:
    """Each line works by itself, in whatever shell."""
    here = _told(directory)
    yield f"  export SHOP={stack['gateway']}"
    yield "  curl -s $SHOP/api/products | jq"
    if "orders" in stack:
        body = escape(shlex.quote(json.dumps(stack["customer"])))
        yield "  TOKEN=$(curl -s $SHOP/auth/login -H 'content-type: application/json' \\"
        yield f"    -d {body} | jq -r .accessToken)"
        yield '  curl -s $SHOP/api/orders -H "authorization: Bearer $TOKEN" \\'
        yield "    | jq -c '.items[] | {orderId, status, cancellationReason}'"
        declined = stack["orders"]["card declined"]
        yield _remarked(
            f"{here}make logs ORDER={declined}", "an order whose card was declined; Ctrl-C ends it"
        )
    remark = "one service; a process that dies is restarted anyway"
    yield _remarked(f"{here}make restart SERVICE=order", remark)
    if "jaeger" in stack:
        remark = "draws the path of an order placed from now on"
        yield _remarked(f"{here}.venv/bin/sagactl orders trace ORDER", remark)
    else:
        yield _remarked(f"{here}make traces", "the path of each order through all services")
    yield _remarked(f"{here}make down", "stop it; the data stays")


def _told(directory: Path) -> str:
    """What a command has to be told that is about another stack than the usual one."""
    if directory.resolve() == USUAL_DIRECTORY.resolve():
        return ""
    return f"STACK_DIR={escape(shlex.quote(str(directory)))} "


def _remarked(command: str, remark: str) -> str:
    return f"  {command:<30} [dim]# {remark}[/]"


def _jaeger(url: str) -> Iterator[str]:
    if _has_pages(url):
        yield f"[bold]Jaeger[/]         {url}"
        return
    yield "[bold]traces[/]         .venv/bin/sagactl orders trace ORDER draws them"
    yield f"               [dim]{url} is Jaeger's API alone: it was built without its web pages;[/]"
    yield "               [dim]JAEGER=<program of a release> make traces has them[/]"


def _has_pages(url: str) -> bool:
    """One that was built without them says so at its root."""
    connection = HTTPConnection(urlsplit(url).netloc, timeout=ANSWERS_WITHIN_SECONDS)
    try:
        connection.request("GET", "/")
        return PLACEHOLDER not in connection.getresponse().read()
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
