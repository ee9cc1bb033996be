"""What all commands share: where they print, which shop they are about, and how an error is told."""

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn, TypeVar

import msgspec
import typer
from aio_pika.exceptions import AMQPError
from pymongo.errors import PyMongoError
from rich.console import Console
from rich.markup import escape

from sagactl.access import URLS, Access, NoAccessError
from services.payment.gateway import GatewayUnavailable

# 1 says that something is wrong with the shop, 2 that nobody could tell.
CANNOT_TELL: Final = 2
Answer = TypeVar("Answer")
console = Console()
# Progress and errors go to standard error, so that they do not get into a pipe.
aside = Console(stderr=True)

Stack = Annotated[
    Path | None,
    typer.Option(
        envvar="STACK_DIR",
        help=f"A local stack's directory. Else {', '.join(URLS)}, as variables or files; else .run",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print it as JSON.")]


class UnavailableError(RuntimeError):
    """A server does not answer what it was asked. The text says which, and what it said."""


def access(stack: Path | None) -> Access:
    """Of the stack that is named, by the environment or the files of SECRETS_DIR, or of the stack here."""
    try:
        return Access.found(stack)
    except NoAccessError as error:
        raise typer.BadParameter(str(error)) from error


def run(work: Coroutine[Any, Any, Answer]) -> Answer:
    """Its result; where a server does not answer, a sentence and exit code 2."""
    try:
        return asyncio.run(work)
    except PyMongoError as error:
        _give_up("MongoDB does not answer", error)
    except (AMQPError, OSError) as error:
        _give_up("RabbitMQ does not answer", error)
    except msgspec.ValidationError as error:
        _give_up("a document is not as this release writes it", error)
    except GatewayUnavailable as error:
        _give_up("the payment gateway does not answer", error)
    except UnavailableError as error:
        _give_up(str(error))


def _give_up(what: str, error: Exception | None = None) -> NoReturn:
    # What MongoDB's client has to say of its topology fills a screen; its first words name the server.
    cause = str(error).partition(" (configured timeouts")[0] if error else ""
    said = f": {cause or type(error).__name__}" if error else ""
    aside.print(f"[red]{escape(what + said)}[/]", soft_wrap=True)
    aside.print(f"Is it up, and are {', '.join(URLS)} right? A local stack: make up", highlight=False)
    raise typer.Exit(CANNOT_TELL) from error
