"""What is to be done to an order, and what comes of it: one struct, of which terminal and JSON are faces."""

from enum import StrEnum
from typing import TypeAlias

from msgspec import Struct

from services.shared.contract.identity import cause


class Ends(StrEnum):
    """What becomes of an order."""

    # Nothing is to be done.
    SOUND = "sound"
    # Something is on its way, or it moved while it was looked at.
    MOVING = "moving"
    MENDED = "mended"
    # No message and no command makes its books sound.
    BY_HAND = "byHand"


class Redrive(Struct, frozen=True, rename="camel", tag_field="kind", tag="redrive"):
    """Gives a dead letter another chance."""

    queue: str
    id: str
    type: str

    @property
    def says(self) -> str:
        return f"redrive {self.type} {cause(self.queue, self.id)}"


class SendAgain(Struct, frozen=True, rename="camel", tag_field="kind", tag="sendAgain"):
    """Sends a lost message once more, under its own id: who has seen it does nothing about it."""

    queue: str
    id: str
    type: str
    # Made of the order again, as its publisher makes it.
    body: str

    @property
    def says(self) -> str:
        return f"send again {self.type} {cause(self.queue, self.id)}"


class Compensate(Struct, frozen=True, rename="camel", tag_field="kind", tag="compensate"):
    """Has the order service cancel the order, if it still is as it was."""

    status: str
    # Seconds that it had been so.
    older_than: int

    @property
    def says(self) -> str:
        return f"compensate: it is {self.status}, and ends CANCELLED"


Step: TypeAlias = Redrive | SendAgain | Compensate


class Plan(Struct, frozen=True, rename="camel", kw_only=True):
    """Of one order."""

    order: str
    ends: Ends
    # What is wrong of it now.
    findings: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()
    # What somebody discarded is left alone, though something would come of it; and how it is taken back.
    left: tuple[str, ...] = ()
    # What it comes to, by a rehearsal with the services' own rules; or why nothing can be done.
    says: str
