"""`sagactl`, as a test of an event loop calls it."""

import asyncio
from collections.abc import Mapping

from typer.testing import CliRunner, Result

from sagactl.cli import app


async def called(
    *command: str, environment: Mapping[str, str | None] | None = None, typed: str = ""
) -> Result:
    """It has an event loop of its own. `environment`: beside what there is, without what is None. `typed`: on
    its standard input, which is no terminal.
    """
    return await asyncio.to_thread(lambda: CliRunner().invoke(app, [*command], input=typed, env=environment))
