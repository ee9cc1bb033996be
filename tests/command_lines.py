"""Whether a command of sagactl is one: by its own parser, and nothing is run."""

from collections.abc import Mapping, Sequence
from typing import Any

import typer
from typer.core import TyperGroup

from sagactl.cli import app


def understood(arguments: Sequence[str]) -> Mapping[str, Any]:
    """By name, what its parser makes of them. Raises what it does where a command, an option or a value is
    none.
    """
    command, rest = typer.main.get_command(app), list(arguments)
    while isinstance(command, TyperGroup):
        context = command.make_context(command.name, [], resilient_parsing=True)
        name, found, rest = command.resolve_command(context, rest)
        assert found is not None, f"there is no command {name or rest[0]}"
        command = found
    return command.make_context(command.name, rest).params
