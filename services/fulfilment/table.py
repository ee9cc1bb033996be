"""Shipments, as one table: what becomes of one by what is heard of its order, and by who sends the goods.

The order decides whether goods may go: who listens to it alone would send them beside a refund.
"""

from typing import Final

from services.fulfilment.shipment import Deliver, Ship, Shipment, ShipmentState
from services.fulfilment.steps import (
    Trigger,
    approved,
    order_delivered,
    order_shipped,
    paid,
    refused,
    request_shipment,
    sent_by,
)
from services.shared.contract.events import (
    Event,
    OrderPaid,
    OrderRefunded,
    ShipmentApproved,
    ShipmentRefused,
)
from services.shared.contract.table import NEW, Attention, Duplicate, Forbid, Step, Table

READY, SHIPPING, SHIPPED = ShipmentState.READY, ShipmentState.SHIPPING, ShipmentState.SHIPPED
DELIVERED, CANCELLED = ShipmentState.DELIVERED, ShipmentState.CANCELLED

_KNOWN: Final = (Duplicate(),)
_UNASKED: Final = (Attention("the order answers what it was not asked"),)
_NOT_PAID: Final = (Forbid("nothing is known of a payment of this order: there is nothing to be sent"),)
_NOT_SENT: Final = (Forbid("the goods are not on their way yet: ship them first"),)
_ASKED: Final = (Forbid("the order was asked whether the goods may go: wait for its answer"),)
_SENT: Final = (Forbid("the goods are sent already"),)
_ARRIVED: Final = (Forbid("the goods have arrived already"),)
_CALLED_OFF: Final = (Forbid("nothing of the order is to be sent: all of it is refunded, or to be"),)

# The rows of a cell are tried in turn; the last one always holds.
SHIPMENTS: Final = Table[Shipment, Trigger, Event](
    {
        (NEW, OrderPaid): (Step(READY, paid),),
        (NEW, OrderRefunded): (Step(CANCELLED),),
        (NEW, ShipmentApproved): _UNASKED,
        (NEW, ShipmentRefused): _UNASKED,
        (NEW, Ship): _NOT_PAID,
        (NEW, Deliver): _NOT_PAID,
        # ---
        (READY, OrderPaid): _KNOWN,
        (READY, OrderRefunded): (Step(CANCELLED),),
        (READY, ShipmentApproved): _UNASKED,
        (READY, ShipmentRefused): _UNASKED,
        (READY, Ship): (Step(SHIPPING, sent_by, (request_shipment,)),),
        (READY, Deliver): _NOT_SENT,
        # ---
        (SHIPPING, OrderPaid): _KNOWN,
        # Its answer is on its way, and says the same.
        (SHIPPING, OrderRefunded): _KNOWN,
        (SHIPPING, ShipmentApproved): (Step(SHIPPED, approved, (order_shipped,)),),
        (SHIPPING, ShipmentRefused): (Step(CANCELLED, refused),),
        (SHIPPING, Ship): _ASKED,
        (SHIPPING, Deliver): _ASKED,
        # ---
        (SHIPPED, OrderPaid): _KNOWN,
        # Of goods that are with the customer, or come back.
        (SHIPPED, OrderRefunded): _KNOWN,
        (SHIPPED, ShipmentApproved): _KNOWN,
        (SHIPPED, ShipmentRefused): _KNOWN,
        (SHIPPED, Ship): _SENT,
        (SHIPPED, Deliver): (Step(DELIVERED, emit=(order_delivered,)),),
        # ---
        (DELIVERED, OrderPaid): _KNOWN,
        (DELIVERED, OrderRefunded): _KNOWN,
        (DELIVERED, ShipmentApproved): _KNOWN,
        (DELIVERED, ShipmentRefused): _KNOWN,
        (DELIVERED, Ship): _SENT,
        (DELIVERED, Deliver): _ARRIVED,
        # ---
        (CANCELLED, OrderPaid): _KNOWN,
        (CANCELLED, OrderRefunded): _KNOWN,
        (CANCELLED, ShipmentApproved): _KNOWN,
        (CANCELLED, ShipmentRefused): _KNOWN,
        (CANCELLED, Ship): _CALLED_OFF,
        (CANCELLED, Deliver): _CALLED_OFF,
    }
)
