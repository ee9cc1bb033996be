"""`sagactl replay`: whether this release decides as the one that runs did, by what that one has decided."""

from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import Annotated

import typer

from sagactl.exits import Exit
from sagactl.oncall.replay.reading import Wanted, replayed
from sagactl.oncall.replay.report import Replay, lines
from sagactl.oncall.times import moment
from sagactl.output import Form, Output, Shown, show
from sagactl.screen import printable
from sagactl.terminal import Stack, access, aside, run


def replay(
    stack: Stack = None,
    since: Annotated[
        str | None, typer.Option(help="Only orders placed since then: 24h ago, or a date.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most this many orders, the newest.")] = None,
    sample: Annotated[int | None, typer.Option(min=1, help="Instead, this many orders at random.")] = None,
    output: Form = Output.TABLE,
) -> None:
    """Decide past orders again by this release's rules, and show each decision that differs.

    Run the sagactl of the next version before an upgrade. Only reads.

    Exit code 0: every decision is the same. 1: some differ.
    """
    if limit is not None and sample is not None:
        raise typer.BadParameter("give --limit or --sample")
    found = _replayed(access(stack).mongodb_url, Wanted(moment(since), limit, sample))

    def text(wide: bool) -> Iterator[str]:  # noqa: FBT001  # as `Shown` has it
        return map(printable, lines(found, wide=wide))

    show(Shown(found, text, [each.order for each in found.items], found.items), output)
    raise typer.Exit(Exit.BAD if found.items else Exit.FINE)


def _replayed(mongodb_url: str, wanted: Wanted) -> Replay:
    with aside.status("replaying") as status:

        def tell(so_far: Mapping[str, int]) -> None:
            status.update(", ".join(f"{what}: {count}" for what, count in so_far.items()))

        return run(replayed(mongodb_url, wanted, version("sagashop"), tell))
