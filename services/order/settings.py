"""Settings of the order service."""

from datetime import timedelta
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from services.order.domain import Terms
from services.shared.settings import EngineSettings, Port


class OrderSettings(EngineSettings):
    service: ClassVar[str] = "order"
    port: Port = 3002
    product_url: str = "http://127.0.0.1:3004"
    # How long after it was paid for, customers may have an order refunded; administrators always may.
    refund_window_seconds: Annotated[int, Field(ge=0)] = 30 * 24 * 3600
    # Refunds of some lines; false while replicas of an older payment or inventory service run, which take a
    # part for the whole.
    partial_refunds: bool = True
    # How long stock is held for a payment on which the gateway decides later.
    payment_pending_seconds: Annotated[int, Field(ge=60, le=7 * 24 * 3600)] = 1800
    # Who may use /internal: an administrator's token, or in a cluster the operator's service account.
    internal_auth: Literal["admin", "kubernetes"] = "admin"
    operator_audience: str = "sagashop-order-internal"
    # Comma-separated: system:serviceaccount:<namespace>:<name>
    operator_subjects: str = ""
    # Streams of orders' events that one customer has open at a time, at each replica; and how long one lasts.
    max_streams_per_customer: Annotated[int, Field(ge=1)] = 5
    max_stream_seconds: Annotated[float, Field(gt=0)] = 900

    @property
    def terms(self) -> Terms:
        return Terms(
            refund_window=timedelta(seconds=self.refund_window_seconds),
            partial_refunds=self.partial_refunds,
            payment_pending=timedelta(seconds=self.payment_pending_seconds),
        )

    @property
    def operators(self) -> frozenset[str]:
        return frozenset(filter(None, (name.strip() for name in self.operator_subjects.split(","))))
