"""What the fulfilment service publishes and consumes."""

from typing import Final

from services.shared.contract.events.event import OrderEvent, Part

FULFILMENT: Final = "fulfilment"


class FulfilmentRecorded(OrderEvent, frozen=True, kw_only=True):
    """What was paid for an order is on record."""

    type = "FULFILMENT_RECORDED"


PART: Final = Part(
    publishes=(FulfilmentRecorded,),
    # Its own event as well: one that goes to no queue would stay in the outbox.
    consumes={FULFILMENT: ("ORDER_PAID", "FULFILMENT_RECORDED")},
)
