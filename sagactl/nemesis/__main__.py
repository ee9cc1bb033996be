"""`python -m sagactl.nemesis`: what `faults.enabled` of the umbrella chart runs."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from saga_operator.policy.durations import parse_duration
from sagactl.nemesis.cluster import ACCOUNT, API, reached
from sagactl.nemesis.killing import Nemesis, Plan
from sagactl.terminal import run

app = typer.Typer(add_completion=False)


@app.command()
def nemesis(  # noqa: PLR0917 - a command's options
    release: Annotated[str, typer.Option(help="Whose pods are killed.")],
    chart: Annotated[list[str], typer.Option(help="Of these charts. May be given several times.")],
    seed: Annotated[int, typer.Option(help="The same seed kills in the same order.")] = 1,
    every: Annotated[
        timedelta, typer.Option(parser=parse_duration, metavar="DURATION", help="Rest before each.")
    ] = timedelta(minutes=1),
    mark: Annotated[
        Path | None,
        typer.Option(
            help="A file, touched at each look, with something in it once what was killed came back."
        ),
    ] = None,
    api: Annotated[str, typer.Option(help="Address of the Kubernetes API.")] = API,
    account: Annotated[Path, typer.Option(help="Files of the service account.")] = ACCOUNT,
) -> None:
    """Kill pods of a release, one after another, each once all are ready again. For ever."""
    plan = Plan(release, frozenset(chart), seed, every.total_seconds())

    def looked() -> None:
        if mark is not None:
            mark.touch()

    def recovered() -> None:
        if mark is not None:
            mark.write_text("recovered\n")

    async def killing() -> None:
        async with reached(api, account) as cluster:
            await Nemesis(cluster, plan, typer.echo, looked, recovered).kill_for_ever()

    run(killing())


if __name__ == "__main__":
    app()
