"""`sagactl queues`: how much waits where, and who consumes it."""

from collections.abc import Sequence
from operator import attrgetter
from typing import Final

import typer

from sagactl.documents import Document
from sagactl.oncall.status.reading import queues_of
from sagactl.oncall.status.standing import Depth, waited
from sagactl.output import Column, Form, Output, Shown, show, table
from sagactl.terminal import Stack, access, run

app = typer.Typer(no_args_is_help=True, help="Queues: their messages, consumers and dead letters.")
COLUMNS: Final[Sequence[Column[Depth]]] = (
    Column("queue", attrgetter("queue")),
    Column("service", attrgetter("service")),
    Column("messages", attrgetter("messages")),
    Column("wait for", waited),
    Column("consumers", attrgetter("consumers")),
    Column("retrying", attrgetter("retrying")),
    Column("dead", attrgetter("dead")),
    Column("there", lambda each: "yes" if each.exists else "no", wide=True),
)


class QueueList(Document, frozen=True, kw_only=True):
    items: tuple[Depth, ...]


@app.callback()
def _group() -> None:
    """Makes a group of it while it has one command."""


@app.command("list")
def list_(stack: Stack = None, output: Form = Output.TABLE) -> None:
    """Show every queue: messages, consumers, messages that wait for a retry, dead letters. Only reads.

    The wait is a lower bound for the oldest message, from the broker's statistics of the last hour.
    """
    found = run(queues_of(access(stack)))
    names = [each.queue for each in found]
    show(Shown(QueueList(items=found), table(found, "queue", COLUMNS), names, found), output)
