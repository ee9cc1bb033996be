"""`python -m dev.scaffold NAME`: a new service, whole and green, to begin one's own with."""

from typing import Annotated

import typer

from dev.scaffold.entries import ENTRIES, LINKS
from dev.scaffold.naming import NotANameError, named
from dev.scaffold.planning import NoPlaceError, plan
from dev.services import REPOSITORY

NEXT = """
Next:
  .venv/bin/pytest tests/unit/{name}                   its rules
  .venv/bin/pytest tests/integration/test_{name}.py    on real servers
  make up && make logs SERVICE={name}                  in a shop
docs/your-own-step.md continues from here: an event of your own, and an order that waits for it.
"""


def scaffold(
    name: Annotated[str, typer.Argument(help="One lowercase word, such as loyalty.")],
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only list the files that would be written.")
    ] = False,
) -> None:
    """Write a small service that consumes paid orders, stores an entry of each and publishes an event.

    It comes with its chart, its users and their rights, its row on a dashboard and its tests, and it is
    registered wherever services are listed. Either everything is written, or nothing.
    """
    try:
        called = named(name, REPOSITORY)
        planned = plan(REPOSITORY, called, ENTRIES, LINKS)
    except (NotANameError, NoPlaceError, FileExistsError) as error:
        typer.echo(f"{error}\nnothing was written", err=True)
        raise typer.Exit(1) from None
    if not dry_run:
        planned.carry_out(REPOSITORY)
    for path in planned.written():
        typer.echo(f"{'new    ' if path not in planned.changed else 'changed'}  {path}")
    if not dry_run:
        typer.echo(NEXT.format(name=called.name))


if __name__ == "__main__":
    typer.run(scaffold)
