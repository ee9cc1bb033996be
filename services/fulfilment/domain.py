"""Messages to decisions about shipments: what the engine calls. What becomes of a shipment is the table's."""

from collections.abc import Iterable
from typing import Final, cast

from msgspec import structs

from services.fulfilment.shipment import Command, Deliver, Said, Ship, Shipment, ShipmentState
from services.fulfilment.steps import Trigger
from services.fulfilment.table import SHIPMENTS
from services.shared.contract.audit import Action
from services.shared.contract.decisions import Decision, Domain, Loaded, Message, Ref, audited
from services.shared.contract.idempotency import once
from services.shared.contract.table import NEW, concluded, marked

_DONE: Final = {Ship: Action.ORDER_SHIPPED, Deliver: Action.ORDER_DELIVERED}


def home(message: Message) -> Ref:
    return Ref(Shipment, _trigger(message).order_id)


def _reads(_: Message, __: Loaded) -> Iterable[Ref]:
    return ()


def _decide(loaded: Loaded, message: Message) -> Decision:
    """Raises Refused for a command that the state forbids."""
    trigger = _trigger(message)
    before = loaded.get(Shipment, trigger.order_id)
    outcome = SHIPMENTS.advance(before.state if before else NEW, before or _blank(message), trigger)
    after = marked(outcome.after, message, trigger.type, [outcome.contradiction])
    if not isinstance(trigger, Command):
        return concluded(before, after, outcome, message)
    said = Said(trigger.type, message.id, message.at)
    after = structs.replace(after, commands=(*after.commands, said))
    decision = concluded(before, after, outcome, message)
    return audited(decision, message, _DONE[type(trigger)], trigger.order_id)


def _trigger(message: Message) -> Trigger:
    """All that comes here is about an order."""
    return cast("Trigger", message.body)


def _blank(message: Message) -> Shipment:
    """Of an order of which nothing was heard: nothing is to be sent, unless the table says otherwise."""
    at, order_id = message.at, _trigger(message).order_id
    return Shipment(id=order_id, state=ShipmentState.CANCELLED, created_at=at, updated_at=at)


SHIPPING: Final = once(Domain(home=home, reads=_reads, decide=_decide))
