"""What commands print, in the form that `-o` asks for. Nobody else renders."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Generic, NamedTuple, TypeVar

import msgspec
import typer
from rich.console import RenderableType
from rich.table import Table

from saga_operator.policy.summary import timestamp
from sagactl.documents import Document
from sagactl.screen import printable
from sagactl.terminal import console
from sagactl.wording import plural


class Output(StrEnum):
    TABLE = "table"
    # With what a table leaves out.
    WIDE = "wide"
    # One document, by its schema.
    JSON = "json"
    # Each item on a line of its own.
    JSONL = "jsonl"
    # Each item's name, as other commands take it.
    NAME = "name"


Form = Annotated[Output, typer.Option("--output", "-o", help="Output format.")]
Item = TypeVar("Item")


class Shown(NamedTuple):
    """A command's answer, for all forms."""

    document: Document
    # What a person reads; whether it may be wide.
    text: Callable[[bool], Iterable[RenderableType]]
    names: Sequence[str]
    # Of a list; what is no list is one item.
    items: Sequence[object] | None = None


def show(shown: Shown, output: Output) -> None:
    match output:
        case Output.TABLE | Output.WIDE:
            for part in shown.text(output is Output.WIDE):
                console.print(part, highlight=False, soft_wrap=isinstance(part, str))
        case Output.JSON:
            typer.echo(msgspec.json.format(_encoded(shown.document), indent=2).decode())
        case Output.JSONL:
            for item in (shown.document,) if shown.items is None else shown.items:
                typer.echo(_encoded(item).decode())
        case Output.NAME:
            for name in shown.names:
                typer.echo(name)


def _encoded(value: object) -> bytes:
    """What others wrote into a database may be of any type: it is told as text."""
    return msgspec.json.encode(value, enc_hook=str)


class Column(NamedTuple, Generic[Item]):
    heading: str
    of: Callable[[Item], Any]
    # Shown by `wide` alone.
    wide: bool = False
    # Never broken, such as an id that somebody will copy.
    whole: bool = False


def table(
    items: Sequence[Item], noun: str, columns: Sequence[Column[Item]], none: str = ""
) -> Callable[[bool], Iterable[RenderableType]]:
    """A row for each item, below how many there are. Without any a sentence: `none`, where that says more."""

    def drawn(wide: bool) -> Iterable[RenderableType]:  # noqa: FBT001  # as `Shown` has it
        if not items:
            yield none or f"No {plural(0, noun).removeprefix('0 ')}."
            return
        there = [column for column in columns if wide or not column.wide]
        shown = Table(title=plural(len(items), noun))
        for column in there:
            shown.add_column(column.heading, overflow="fold", no_wrap=column.whole)
        for item in items:
            shown.add_row(*(printable(_cell(column.of(item))) for column in there))
        yield shown

    return drawn


def _cell(value: object) -> str:
    """Of a time, what options such as `--since` take. Empty where there is nothing."""
    if isinstance(value, datetime):
        return timestamp(value)
    return "" if value is None else str(value)
