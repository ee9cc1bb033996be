"""`sagactl jobs`: letters in bulk: a plan before, a record meanwhile, at last an outcome for each."""

import os
import secrets
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import RenderableType
from rich.table import Table

from sagactl.access import Access
from sagactl.documents import Document
from sagactl.exits import Exit
from sagactl.oncall import arguments, trails
from sagactl.oncall.jobs import record
from sagactl.oncall.jobs.job import BAD, Job, Outcome, Selector, Step, Verb, groups, tally
from sagactl.oncall.jobs.record import Record
from sagactl.oncall.jobs.working import ACTIONS, carry_on, carry_out, chosen
from sagactl.oncall.times import duration, moment
from sagactl.output import Column, Form, Output, Shown, show, table
from sagactl.screen import printable
from sagactl.terminal import Stack, access, agree, aside, reason_of, run, telling
from sagactl.wording import plural

STYLES: Final = {
    **dict.fromkeys((Outcome.HANDLED, Outcome.NO_EFFECT, Outcome.DISCARDED, Outcome.RESTORED), "green"),
    **dict.fromkeys(BAD, "bold red"),
}
POLL_SECONDS: Final = 0.2
app = typer.Typer(
    no_args_is_help=True,
    help="Jobs: redrive, discard or restore many letters, and follow each to its outcome.",
)


class JobList(Document, frozen=True, kw_only=True):
    # The latest first.
    items: tuple[Job, ...]


def _state() -> Path:
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "sagactl" / "jobs"


Folder = Annotated[
    Path | None,
    typer.Option(
        "--jobs",
        envvar="SAGACTL_JOBS",
        help="Folder of the jobs' records. Otherwise ~/.local/state/sagactl/jobs.",
    ),
]


def _recorded(ctx: typer.Context) -> list[str]:
    """For a shell: files alone tell it."""
    return record.ids(ctx.params.get("folder") or _state())


JobId = Annotated[
    str,
    typer.Argument(
        help="The job's id, as `sagactl jobs list` shows it.", metavar="JOB", autocompletion=_recorded
    ),
]
Rate = Annotated[float, typer.Option(min=0.1, max=1000, help="At most this many letters per second.")]
Wait = Annotated[str, typer.Option(help="Follow sent letters for at most this long.")]


@app.command()
def start(  # noqa: PLR0913, PLR0917 - a command's options
    verb: Annotated[
        Verb, typer.Argument(help="Retry dead letters, discard them, or take back discarded ones.")
    ],
    stack: Stack = None,
    queue: arguments.OfQueues = None,
    kind: Annotated[
        str | None,
        typer.Option(help="Only letters of this kind: invalid, rejected, premature, failed, broker."),
    ] = None,
    type_: Annotated[
        str | None, typer.Option("--type", help="Only letters of this type, such as PAYMENT_SUCCEEDED.")
    ] = None,
    about: Annotated[
        str | None, typer.Option(help="Only letters about the order or product with this id.")
    ] = None,
    text: Annotated[
        str | None,
        typer.Option(help="Only letters whose failure reason, or discard reason, contains this text."),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            help="Only letters that first failed since then: 2h, or a date. To restore: discarded since then."
        ),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(
            help="Only letters that first failed before then: 5m, or a date. To restore: discarded before "
            "then."
        ),
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="All letters.")] = False,  # noqa: FBT002  # an option
    reason: arguments.Reason = None,
    dry_run: arguments.DryRun = False,  # noqa: FBT002  # an option
    yes: arguments.Yes = False,  # noqa: FBT002  # an option
    limit: Annotated[int | None, typer.Option(min=1, help="At most this many letters.")] = None,
    rate: Rate = 20,
    wait: Wait = "3m",
    folder: Folder = None,
    output: Form = Output.TABLE,
) -> None:
    """Redrive or discard selected dead letters, or restore discarded ones, and follow each to its outcome.

    Example, after an outage: jobs start redrive --queue orders --since 3h --reason "the database was down"

    Exit code 0: all are handled, discarded or restored. 1: some failed again, or are gone. 3: some are still
    under way, or it was only planned.
    """
    where, within = access(stack), duration(wait).total_seconds()
    selector = Selector(
        queues=tuple(queue or ()),
        kind=kind,
        type=type_,
        about=about,
        reason=text,
        since=moment(since),
        until=moment(until),
    )
    if (selector == Selector()) is not all_:
        raise typer.BadParameter("select letters (--queue, --kind, --since and others), or give --all")
    why = "" if dry_run else reason_of(reason)
    letters = run(chosen(where, verb, selector))[:limit]
    now = datetime.now(UTC)
    planned = Job(
        id=f"{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}",
        verb=verb,
        reason=why,
        begun_at=now,
        selector=selector,
        steps=tuple(Step(each) for each in letters),
    )
    if dry_run or not letters:
        show(shown(planned), output)
        raise typer.Exit(Exit.NOT_YET if letters else Exit.FINE)
    if output in {Output.TABLE, Output.WIDE}:
        show(shown(planned), output)
    agree(f"{verb.capitalize()} {plural(len(letters), verb.noun)}?", yes=yes)
    with telling(), record.begun(folder or _state(), planned) as job:
        _finish(where, job, rate, within, output)


@app.command()
def resume(
    job: JobId,
    stack: Stack = None,
    rate: Rate = 20,
    wait: Wait = "3m",
    folder: Folder = None,
    output: Form = Output.TABLE,
) -> None:
    """Continue a job that was interrupted, and follow what it has sent.

    Exit code 0: all are handled, discarded or restored. 1: some failed again, or are gone. 3: some are still
    under way.
    """
    where, within = access(stack), duration(wait).total_seconds()
    with telling(), record.resumed(folder or _state(), job) as there:
        _finish(where, there, rate, within, output)


@app.command()
def stop(
    job: JobId,
    wait: Annotated[str, typer.Option(help="Wait at most this long until the job has stopped.")] = "10s",
    folder: Folder = None,
    output: Form = Output.TABLE,
) -> None:
    """Stop the command that works on a job here. What was done stays done; `jobs resume` continues it.

    Exit code 0: no command works on it any more. 3: one still does.
    """
    place, end = folder or _state(), time.monotonic() + duration(wait).total_seconds()
    with telling():
        if record.is_worked_at(place, job):
            record.stop(place, job)
            while (at_it := record.is_worked_at(place, job)) and time.monotonic() < end:
                time.sleep(POLL_SECONDS)
        else:
            at_it = False
            aside.print("no command was working on it", highlight=False)
        found = record.read(place, job)
    show(shown(found), output)
    raise typer.Exit(Exit.NOT_YET if at_it else Exit.FINE)


@app.command("list")
def list_(folder: Folder = None, output: Form = Output.TABLE) -> None:
    """Show the jobs that are recorded here."""
    with telling():
        found = tuple(record.all_(folder or _state()))
    text = table(found, "job", COLUMNS)
    show(Shown(JobList(items=found), text, [each.id for each in found], found), output)


@app.command("show")
def show_(job: JobId, folder: Folder = None, output: Form = Output.TABLE) -> None:
    """Show a job, and the outcome of each of its letters."""
    with telling():
        found = record.read(folder or _state(), job)
    show(shown(found), output)


def _finish(where: Access, job: Record, rate: float, within: float, output: Output) -> None:
    planned = job.job
    aside.print(f"job {planned.id}: if it is interrupted, sagactl jobs resume continues it", highlight=False)

    async def ask(detail: str) -> None:
        action, subject = ACTIONS[planned.verb], f"job {planned.id}"
        await trails.ask(where.mongodb_url, action, subject, detail, planned.reason)

    with aside.status("") as status:
        work = carry_out(
            where,
            job,
            ask,
            trails.person(),
            rate=rate,
            within=within,
            progress=lambda so_far: status.update(counted(so_far)),
        )
        is_done = run(carry_on(work, lambda: job.is_to_stop))
    if not is_done:
        aside.print("[yellow]stopped[/]: sagactl jobs resume continues it", highlight=False)
    show(shown(job.job), output)
    raise typer.Exit(job.job.code)


def counted(job: Job) -> str:
    return ", ".join(f"{number} {outcome}" for outcome, number in tally(job).items())


COLUMNS: Final[Sequence[Column[Job]]] = (
    Column("job", lambda each: each.id),
    Column("does", lambda each: each.verb),
    Column("letters", counted),
    Column("why", lambda each: each.reason),
)


def shown(job: Job) -> Shown:
    names = [step.letter.id for step in job.steps]
    return Shown(job, lambda wide: _screen(job, wide=wide), names)


def _screen(job: Job, *, wide: bool) -> Iterator[RenderableType]:
    """Groups, and each letter that came to no good end; all of them where it may be wide."""
    yield f"[bold]{job.verb}[/] {plural(len(job.steps), job.verb.noun)}: {counted(job)}"
    outline = Table("queue", "type", "kind", box=None, pad_edge=False, header_style="dim")
    outline.add_column("letters", justify="right")
    for (queue, type_, kind), number in groups([step.letter for step in job.steps]).items():
        outline.add_row(*map(printable, (queue, type_, kind)), str(number))
    if job.steps:
        yield outline
    for step in job.steps:
        if wide or step.outcome in BAD:
            style = STYLES.get(step.outcome, "yellow")
            why = f": {printable(step.why)}" if step.why else ""
            letter = printable(f"{step.letter.queue} {step.letter.id}")
            yield f"[{style}]{step.outcome}[/] {letter}{why}"
