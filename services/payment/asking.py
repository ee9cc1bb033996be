"""When the gateway is asked again, and for what: about a charge that is open, or about refunds.

No call waits in anybody's memory: the payment says when it is time, and whoever comes asks.
"""

from collections.abc import Sequence
from datetime import datetime

from msgspec import structs

from services.payment import refunds
from services.payment.payment import AskAgain, LookAgain, Payment


def leased(
    payment: Payment, now: datetime, until: datetime
) -> tuple[Payment, Sequence[LookAgain | AskAgain]]:
    """What is due to be asked, and the payment, of which nobody else asks it `until` then."""
    if payment.given_back:
        return refunds.leased(payment, now, until)
    if payment.ask_at is None or payment.ask_at > now:
        return payment, ()
    return structs.replace(payment, ask_at=until), (LookAgain(payment.id, payment.asked),)
