"""What a person may do: what the saga's table allows the order, and their role allows them. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from sagactl.oncall.explain.explanation import Action
from services.shared.http.auth import User
from services.shared.http.rights import Right, refusal

# Who may see anything here at all.
ENTRY: Final = Right.READ_ORDERS
# By the names of the table's commands.
NEEDS: Final[Mapping[str, Right]] = {
    "cancel": Right.CANCEL_ORDERS,
    "refund": Right.REFUND_ORDERS,
    "compensate": Right.OPERATE,
}
# Of jobs with letters, too.
LETTERS: Final = Right.OPERATE
STOCK: Final = Right.RESTOCK
MAILS: Final = Right.RESEND_MAILS
# It reads everything there is.
CHECK: Final = Right.OPERATE
# It has the addresses of customers' machines.
TRAIL: Final = Right.OPERATE


class Offer(NamedTuple):
    """A button; or, where it is not allowed, the sentence why not."""

    name: str
    allowed: bool
    # What it would do, or why it may not be done.
    says: str
    emits: tuple[str, ...] = ()


def why_not(person: User, right: Right) -> str:
    """Empty where they may."""
    return "" if person.may(right) else refusal(right)


def of_job(verb: str) -> Right:
    """Of a job, to begin it, to stop it, and to go on with it."""
    return NEEDS.get(verb, LETTERS)


def offers(person: User, actions: Iterable[Action]) -> Iterator[Offer]:
    """The table is asked first: what the order forbids nobody may, whatever their role."""
    for action in actions:
        refused = why_not(person, NEEDS[action.name])
        if action.allowed and refused:
            yield Offer(action.name, allowed=False, says=refused)
        else:
            yield Offer(action.name, action.allowed, action.says, action.emits)
