"""What would mend an order, as its page shows it; what of that can be done here is a link. Pure."""

from collections.abc import Mapping
from typing import Final, NamedTuple
from urllib.parse import quote

from msgspec import Struct

from console.letters import Wanted, link_to_plan
from sagactl.oncall.jobs.job import Verb
from sagactl.oncall.repair.plan import Compensate, Ends, Plan, Redrive, Step
from services.shared.emails import hidden

# Word, shape and mood.
SHAPES: Final[Mapping[Ends, tuple[str, str, str]]] = {
    Ends.SOUND: ("sound", "✓", "good"),
    Ends.MOVING: ("moving", "→", "moving"),
    Ends.MENDED: ("can be mended", "○", "doubtful"),
    Ends.BY_HAND: ("by hand", "‼", "bad"),
}


class Do(NamedTuple):
    says: str
    # Where it is done here; empty for what only `sagactl repair` does.
    link: str


class Page(Struct, frozen=True, kw_only=True):
    order: str
    word: str
    shape: str
    mood: str
    findings: tuple[str, ...]
    steps: tuple[Do, ...]
    # What somebody discarded, which is left alone.
    left: tuple[str, ...]
    # What it comes to, or why nothing can be done.
    says: str


def page(plan: Plan) -> Page:
    word, shape, mood = SHAPES[plan.ends]
    return Page(
        order=plan.order,
        word=word,
        shape=shape,
        mood=mood,
        findings=tuple(map(hidden, plan.findings)),
        steps=tuple(Do(step.says, _link(plan.order, step)) for step in plan.steps),
        left=tuple(map(hidden, plan.left)),
        says=hidden(plan.says),
    )


def _link(order: str, step: Step) -> str:
    """A message that was lost is made again by nobody here: the console redrives what there is."""
    match step:
        case Redrive(queue=queue, id=id_):
            return link_to_plan(Verb.REDRIVE, Wanted(queue=queue, ids=(id_,)))
        case Compensate():
            return f"/orders/{quote(order, safe='')}/compensate"
        case _:
            return ""
