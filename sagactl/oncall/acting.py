"""How a command that changes something goes about it: the plan, somebody who agrees, and then the act."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, NamedTuple
from uuid import uuid4

import typer

from sagactl.exits import Exit
from sagactl.oncall.administrator import ask
from sagactl.output import Output, Shown, show
from sagactl.shop import Json
from sagactl.terminal import Stack, agree, reason_of

# A request whose answer was lost is sent again; its key makes it one.
PATIENCE_SECONDS: Final = 8.0


class Asked(NamedTuple):
    """What was said of how to do it."""

    reason: str | None
    dry_run: bool
    yes: bool
    output: Output

    @property
    def why(self) -> str:
        """Empty for a dry run. Raises BadParameter where it is needed and is not given."""
        return "" if self.dry_run else reason_of(self.reason)


def agreed(plan: Shown, question: str, asked: Asked, *, allowed: bool) -> None:
    """Shows what would be done. Ends the command where it may not be, is only to be said, or nobody agrees.

    Whoever is asked reads it before; a program is told what came of it alone.
    """
    if not allowed or asked.dry_run or asked.output in {Output.TABLE, Output.WIDE}:
        show(plan, asked.output)
    if not allowed:
        raise typer.Exit(Exit.BAD)
    if asked.dry_run:
        raise typer.Exit(Exit.NOT_YET)
    agree(question, yes=asked.yes)


def post(stack: Stack, path: str, body: Mapping[str, Any]) -> Json:
    """What the shop's gateway answers to an administrator."""
    key = uuid4().hex
    return ask(
        stack, lambda admin: replace(admin, patience=PATIENCE_SECONDS).call("POST", path, body, key=key)
    )
