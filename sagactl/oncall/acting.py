"""How a command that changes something goes about it: the plan, somebody who agrees, the trail, and the act.

The service that is asked has the last word.
"""

from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final, NamedTuple, Protocol, TypeVar
from uuid import uuid4

import typer

from sagactl.access import Access, OrderAccess
from sagactl.exits import Exit
from sagactl.oncall import trails
from sagactl.oncall.administrator import ask, login
from sagactl.output import Output, Shown, show
from sagactl.screen import printable
from sagactl.shop import Json
from sagactl.terminal import Stack, access, agree, reason_of, run
from services.shared.contract.audit import Action

# A request whose answer was lost is sent again; its key makes it one.
PATIENCE_SECONDS: Final = 8.0
# In which the first word of a line stands.
WIDTH: Final = 9


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


class Plan(Protocol):
    """What an act would do."""

    @property
    def subject(self) -> str:
        """On the audit trail: the id of what it is done to."""

    @property
    def allowed(self) -> bool: ...

    @property
    def says(self) -> str:
        """What comes of it; or why it may not be done."""

    @property
    def done(self) -> bool: ...


SomePlan = TypeVar("SomePlan", bound=Plan)


class Act(NamedTuple):
    """Something that a person may do, by its plan."""

    action: Action
    question: str
    # Where the login for it is found; None where it is done by the tools' own users.
    find: Callable[[Stack], OrderAccess] | None = OrderAccess.at_the_gateway


def decided(
    stack: Stack,
    act: Act,
    asked: Asked,
    plan: Callable[[Access], Coroutine[Any, Any, SomePlan]],
    shown: Callable[[SomePlan], Shown],
) -> tuple[SomePlan, str]:
    """The plan, to which somebody has agreed and which is on the audit trail as asked, and why.

    Else it ends the command, as where it turns out to be done already.
    """
    where, why = access(stack), asked.why
    if act.find is not None and not asked.dry_run:
        # Before anybody is asked, and anything is on the trail.
        login(act.find, stack)
    planned = run(plan(where))
    if planned.done:
        show(shown(planned), asked.output)
        raise typer.Exit(Exit.FINE)
    agreed(shown(planned), act.question, asked, allowed=planned.allowed)
    run(trails.ask(where.mongodb_url, act.action, planned.subject, planned.says, why))
    return planned, why


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


class Words(NamedTuple):
    """What a person reads of a plan."""

    # What it is done to: what that is called, and which one.
    noun: str
    name: str
    # Such as: cancel.
    act: str
    # What has become of it, once it is done.
    became: str
    # What else comes of it: a word and a sentence each.
    more: Iterable[tuple[str, str]] = ()


def lines(plan: Plan, words: Words) -> Iterator[str]:
    """A plan on a screen, or that it was carried out."""
    if plan.done:
        yield _line("done", words.became, "green")
        return
    yield _line(words.noun, words.name)
    if not plan.allowed:
        yield _line("refused", f"{words.act}: {plan.says}", "bold red")
        return
    yield _line("would", f"{words.act}: {plan.says}")
    for word, says in words.more:
        yield _line(word, says)


def _line(word: str, says: str, style: str = "bold") -> str:
    return f"[{style}]{word}[/]{' ' * (WIDTH - len(word))}{printable(says)}"


def post(stack: Stack, path: str, body: Mapping[str, Any]) -> Json:
    """What the shop's gateway answers to an administrator."""
    key = uuid4().hex
    return ask(
        stack, lambda admin: replace(admin, patience=PATIENCE_SECONDS).call("POST", path, body, key=key)
    )
