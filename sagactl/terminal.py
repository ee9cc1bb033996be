"""What all commands share: where they print, which shop they are about, and how an error is told."""

import asyncio
import logging
import sys
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import typer
from rich.console import Console

from sagactl.access import URLS, Access, NoAccessError
from sagactl.exits import Exit
from sagactl.faults import fault
from sagactl.screen import printable

Answer = TypeVar("Answer")
# What goes wrong is told by `run`, once; it need not be logged by a client as well.
logging.getLogger("aiormq").addHandler(logging.NullHandler())
console = Console()
# Progress and errors go to standard error, so that they do not get into a pipe.
aside = Console(stderr=True)

Stack = Annotated[
    Path | None,
    typer.Option(
        envvar="STACK_DIR",
        help=f"Directory of a local stack. Otherwise {', '.join(URLS)}, as variables or files; or .run",
    ),
]


def access(stack: Path | None) -> Access:
    """Of the stack that is named, by the environment or the files of SECRETS_DIR, or of the stack here."""
    try:
        return Access.found(stack)
    except NoAccessError as error:
        raise typer.BadParameter(str(error)) from error


def run(work: Coroutine[Any, Any, Answer]) -> Answer:
    """Its result; where a server does not answer, a sentence and the exit code that `faults` knows."""
    with telling():
        return asyncio.run(work)


@contextmanager
def telling() -> Iterator[None]:
    """Ends the command with a sentence and the exit code of what goes wrong, where `faults` knows it."""
    try:
        yield
    except Exception as error:
        known = fault(error)
        if known is None:
            raise
        aside.print(f"[red]{printable(known.says)}[/]", highlight=False, soft_wrap=True)
        if known.hint:
            aside.print(known.hint, highlight=False, soft_wrap=True)
        raise typer.Exit(known.code) from error


def agree(question: str, *, yes: bool) -> None:
    """Ends the command unless somebody agrees, or did so beforehand."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise typer.BadParameter("there is no terminal to ask on: give --yes")
    try:
        agreed = typer.confirm(question, err=True)
    except typer.Abort:
        raise typer.Exit(Exit.INTERRUPTED) from None
    if not agreed:
        raise typer.Exit(Exit.NOT_YET)


def reason_of(given: str | None) -> str:
    """Raises BadParameter where none is given: what changes something is on the audit trail, with why."""
    if given is None or not given.strip():
        raise typer.BadParameter("give a reason for the audit trail: --reason TEXT")
    return given.strip()


def absent(what: str) -> NoReturn:
    """Ends the command: there is no such thing."""
    aside.print(printable(what), highlight=False, soft_wrap=True)
    raise typer.Exit(Exit.BAD)
