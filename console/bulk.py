"""What is done with all orders that a filter names: a plan, and a job that carries it out. Pure."""

import uuid
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple

from msgspec import Struct, structs

from console.orders import PATH, Wanted
from console.words import digest, shortened
from sagactl.documents import Document
from sagactl.oncall.explain.marks import Marks
from sagactl.oncall.explain.table import actions
from sagactl.oncall.invariants import Case
from services.order.model import Order, Status
from services.shared.contract.audit import Action

# Of more than these nobody looks at a plan.
AT_MOST: Final = 500
SHOWN_AT_MOST: Final = 100


class Verb(StrEnum):
    """A command of the saga's table."""

    CANCEL = "cancel"
    REFUND = "refund"
    COMPENSATE = "compensate"

    @property
    def noun(self) -> str:
        """Of what it is done with."""
        return "order"


ACTIONS: Final[Mapping[Verb, Action]] = {
    Verb.CANCEL: Action.ORDER_CANCELLED,
    Verb.REFUND: Action.ORDER_REFUNDED,
    Verb.COMPENSATE: Action.ORDER_COMPENSATED,
}


class Outcome(StrEnum):
    # Nobody has asked the order service yet, as far as anybody knows.
    PLANNED = "planned"
    DONE = "done"
    # By the order service, such as for an order that has moved on since.
    REFUSED = "refused"


class Step(Struct, frozen=True, rename="camel"):
    """One order of a job."""

    order: str
    # As the plan has shown it.
    status: Status
    outcome: Outcome = Outcome.PLANNED
    # Why it was refused.
    why: str = ""


class Change(NamedTuple):
    """What became of a step, by its number."""

    step: int
    outcome: Outcome
    why: str = ""


class OrderJob(Document, frozen=True, kw_only=True):
    id: str
    verb: Verb
    # In the words of whoever began it.
    reason: str
    begun_at: datetime
    steps: tuple[Step, ...]

    @property
    def is_over(self) -> bool:
        return not self.planned

    @property
    def planned(self) -> Mapping[int, Step]:
        """By number: those that are still to be done."""
        return {number: step for number, step in enumerate(self.steps) if step.outcome is Outcome.PLANNED}

    def after(self, changes: Iterable[Change]) -> "OrderJob":
        steps = list(self.steps)
        for change in changes:
            steps[change.step] = structs.replace(steps[change.step], outcome=change.outcome, why=change.why)
        return structs.replace(self, steps=tuple(steps))

    def key_of(self, order: str) -> str:
        """Of a request about it: the same, however often it is sent."""
        return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{self.id}/{order}"))


class Row(NamedTuple):
    id: str
    link: str
    status: str
    since: datetime
    customer: str
    # What would be done with it.
    says: str


class Plan(Struct, frozen=True, kw_only=True):
    """What would be done with each; and what tells later that they are the same."""

    verb: Verb
    wanted: Wanted
    # Of orders with which something would be done: how many, and the first of them.
    number: int
    rows: tuple[Row, ...]
    would: tuple[tuple[str, int], ...]
    # Why the table forbids it for the others, and for how many.
    refused: tuple[tuple[str, int], ...]
    # Where it is done.
    link: str
    # Where these orders are listed.
    back: str
    digest: str
    # There are more than anybody looks at.
    too_many: bool


def plan(verb: Verb, wanted: Wanted, orders: Sequence[Order], at: datetime) -> Plan:
    """`orders`: all that are wanted, perhaps one too many."""
    told = [(order, _allowed(verb, order, at)) for order in orders]
    allowed = [(order, says) for order, (is_allowed, says) in told if is_allowed]
    refused = Counter(says for _, (is_allowed, says) in told if not is_allowed)
    return Plan(
        verb=verb,
        wanted=wanted,
        number=len(allowed),
        rows=tuple(_row(order, says) for order, says in allowed[:SHOWN_AT_MOST]),
        would=tuple(Counter(says for _, says in allowed).most_common()),
        refused=tuple(refused.most_common()),
        link=wanted.link_to(f"{PATH}/all/{verb}"),
        back=wanted.link_to(PATH),
        digest=digest_of(orders),
        too_many=len(orders) > AT_MOST,
    )


def digest_of(orders: Iterable[Order]) -> str:
    """Another for other orders, and for the same in other states."""
    return digest(f"{order.status}/{order.id}" for order in orders)


def job(id_: str, verb: Verb, orders: Iterable[Order], reason: str, at: datetime) -> OrderJob:
    """Of those orders for which the table allows it."""
    steps = tuple(Step(order.id, order.status) for order in orders if _allowed(verb, order, at)[0])
    return OrderJob(id=id_, verb=verb, reason=reason, begun_at=at, steps=steps)


def _allowed(verb: Verb, order: Order, at: datetime) -> tuple[bool, str]:
    """By the table, which asks nothing but the order; and what it would do, or why not."""
    marks = Marks(case=Case(order.id, order, None, None, (), ()), at=at)
    (found,) = [each for each in actions(marks) if each.name == verb]
    return found.allowed, found.says


def _row(order: Order, says: str) -> Row:
    link = f"{PATH}/{order.id}"
    return Row(order.id, link, order.status, order.state_since, shortened(order.email), says)
