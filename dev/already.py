"""Whether all runs already: known without loading what starts it, which takes longer than the answer."""

import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from urllib.parse import urlsplit

from rich.console import Console

from dev.given import wants_goods
from dev.layout import Layout
from dev.lock import BusyError, locked
from dev.processes import Processes
from dev.welcome import remarks, welcome

ANSWERS_WITHIN_SECONDS = 1.0


def is_up(directory: Path, services: Sequence[str], *, with_jaeger: bool) -> bool:
    """Whether `make up` has nothing left to do; where that is uncertain, False."""
    file = directory / "stack.json"
    if not file.exists():
        return False
    try:
        with locked(directory):
            stack = json.loads(file.read_text())
            processes = Processes(directory)
    except BusyError:
        return False
    lacking = (
        set(stack["services"]) != set(services)
        or (with_jaeger and "jaeger" not in stack)
        or (bool(services) and "orders" not in stack and wants_goods(os.environ))
    )
    started = {*stack["pids"], *processes.started}
    return (
        not lacking and all(name in processes for name in started) and _all_ready(stack["replicas"].values())
    )


def lacks_what_is_given(directory: Path) -> bool:
    """Whether what runs was started without settings that are given now, or with others."""
    layout = Layout.kept_in(directory)
    return layout is not None and bool(layout.differing(os.environ))


def tell(directory: Path, head: str, console: Console) -> None:
    layout = Layout.kept_in(directory)
    for line in remarks(directory, layout, os.environ) if layout else ():
        console.print(line, style="dim", markup=False, highlight=False, soft_wrap=True)
    console.print(f"[bold green]{head}[/]", highlight=False, soft_wrap=True)
    for line in welcome(directory):
        console.print(line, highlight=False, soft_wrap=True)


def _all_ready(urls: Sequence[str]) -> bool:
    with ThreadPoolExecutor(max(len(urls), 1)) as threads:
        return all(threads.map(_is_ready, urls))


def _is_ready(url: str) -> bool:
    parts = urlsplit(url)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = kind(parts.netloc, timeout=ANSWERS_WITHIN_SECONDS)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == HTTPStatus.OK
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
