"""What goes out of the fulfilment service over HTTP."""

from services.fulfilment.domain import FulfilmentEntry, FulfilmentState
from services.shared.http.bodies import View


class FulfilmentView(View):
    order_id: str
    total_price: str
    currency: str
    state: FulfilmentState

    @classmethod
    def of(cls, entry: FulfilmentEntry) -> "FulfilmentView":
        return cls(
            order_id=entry.id,
            total_price=str(entry.total_price),
            currency=entry.currency,
            state=entry.state,
        )
