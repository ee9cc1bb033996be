"""What goes in and out of the fulfilment service over HTTP."""

from datetime import datetime
from typing import Annotated, Self

from pydantic import Field, StringConstraints

from services.fulfilment import examples
from services.fulfilment.shipment import Shipment, ShipmentState
from services.shared.http.bodies import Body, View

Name = Annotated[str, StringConstraints(min_length=1, max_length=100)]


class Shipping(Body, json_schema_extra={"examples": [examples.SHIPPING]}):
    carrier: Annotated[Name | None, Field(description="The carrier of the goods")] = None
    tracking: Annotated[Name | None, Field(description="The carrier's tracking number")] = None


class GoodsBody(View):
    product_id: str
    name: Annotated[str, Field(description="The name of the product when it was ordered")]
    quantity: int


class ShipmentBody(View, json_schema_extra={"examples": [examples.SHIPMENT]}):
    order_id: str
    state: ShipmentState
    products: Annotated[
        list[GoodsBody],
        Field(description="What was paid for; once SHIPPED, what was sent: without what was refunded before"),
    ]
    carrier: str | None
    tracking: str | None
    refusal: Annotated[str | None, Field(description="Why the order refused the shipment")]
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, shipment: Shipment) -> Self:
        return cls(
            order_id=shipment.id,
            state=shipment.state,
            products=[GoodsBody.model_validate(each) for each in shipment.products],
            carrier=shipment.carrier,
            tracking=shipment.tracking,
            refusal=shipment.refusal or None,
            created_at=shipment.created_at,
            updated_at=shipment.updated_at,
        )
