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
    release: Annotated[str, typer.Option(help="Release whose pods are killed.")],
    chart: Annotated[
        list[str], typer.Option(help="Chart whose pods are killed. May be given several times.")
    ],
    seed: Annotated[int, typer.Option(help="The same seed kills pods in the same order.")] = 1,
    every: Annotated[
        timedelta, typer.Option(parser=parse_duration, metavar="DURATION", help="Pause before each kill.")
    ] = timedelta(minutes=1),
    mark: Annotated[
        Path | None,
        typer.Option(help="File that is touched at every check, and written once a killed pod was replaced."),
    ] = None,
    api: Annotated[str, typer.Option(help="Address of the Kubernetes API.")] = API,
    account: Annotated[Path, typer.Option(help="Folder with the files of the service account.")] = ACCOUNT,
) -> None:
    """Kill pods of a release forever, one after another, each once all are ready again."""
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
