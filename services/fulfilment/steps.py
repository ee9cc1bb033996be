"""The words that the shipments' table is written in: what is recorded, and what is published."""

from typing import TypeAlias

from msgspec import structs

from services.fulfilment.shipment import Command, Deliver, Goods, Ship, Shipment
from services.shared.contract import events
from services.shared.contract.events import (
    Event,
    OrderPaid,
    OrderRefunded,
    ShipmentApproved,
    ShipmentRefused,
)

Trigger: TypeAlias = OrderPaid | OrderRefunded | ShipmentApproved | ShipmentRefused | Command


# --- what is recorded -------------------------------------------------------------------------------------


def paid(shipment: Shipment, event: OrderPaid) -> Shipment:
    products = tuple(Goods(line.product_id, line.quantity, line.name) for line in event.products)
    return structs.replace(shipment, products=products, email=event.email, locale=event.locale)


def sent_by(shipment: Shipment, command: Ship) -> Shipment:
    return structs.replace(shipment, carrier=command.carrier, tracking=command.tracking)


def approved(shipment: Shipment, event: ShipmentApproved) -> Shipment:
    """The order knows what of it is still to be sent."""
    names = {goods.product_id: goods.name for goods in shipment.products}
    products = tuple(
        Goods(line.product_id, line.quantity, names.get(line.product_id, "")) for line in event.products
    )
    return structs.replace(shipment, products=products, sequence=event.sequence)


def refused(shipment: Shipment, event: ShipmentRefused) -> Shipment:
    return structs.replace(shipment, refusal=event.reason)


# --- what is published ------------------------------------------------------------------------------------


def request_shipment(shipment: Shipment, _: Ship) -> Event:
    return events.RequestShipment(order_id=shipment.id)


def order_shipped(shipment: Shipment, _: ShipmentApproved) -> Event:
    return _told(events.OrderShipped, shipment)


def order_delivered(shipment: Shipment, _: Deliver) -> Event:
    return _told(events.OrderDelivered, shipment)


def _told(kind: type[events.OrderShipped | events.OrderDelivered], shipment: Shipment) -> Event:
    """The customer is told the same of both."""
    return kind(
        order_id=shipment.id,
        sequence=shipment.sequence,
        products=_products(shipment),
        carrier=shipment.carrier,
        tracking=shipment.tracking,
        email=shipment.email,
        locale=shipment.locale,
    )


def _products(shipment: Shipment) -> tuple[events.SoldLine, ...]:
    return tuple(events.SoldLine(each.product_id, each.quantity, each.name) for each in shipment.products)
