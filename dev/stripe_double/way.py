"""The double behind a way that can be hurt, and what a shop and its tools are told of it."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final, NamedTuple

from dev.faults import Proxy
from dev.stripe_double.server import LOOPBACK, StripeDouble, running

PAYMENT_GATEWAY: Final = "payment-gateway"
STRIPE: Final = {"PAYMENT_GATEWAY": "stripe", "STRIPE_API_KEY": "sk_test_of_the_double"}
# What Stripe takes at least.
PRICE: Final = "0.50"


class Way(NamedTuple):
    """Between a payment service and the double."""

    stripe: StripeDouble
    proxy: Proxy

    @property
    def settings(self) -> Mapping[str, str]:
        """For the services: they go by the way that can be hurt."""
        return {
            **STRIPE,
            "STRIPE_API_URL": f"http://{LOOPBACK}:{self.proxy.port}",
            "STRIPE_RETURN_URL": "https://shop.example/paid",
        }

    @property
    def books(self) -> Mapping[str, str]:
        """For `sagactl`: the provider's books can be read though the way is hurt."""
        return {**STRIPE, "STRIPE_API_URL": self.stripe.url}


@asynccontextmanager
async def opened() -> AsyncIterator[Way]:
    async with running() as stripe, Proxy(LOOPBACK, int(stripe.url.rpartition(":")[2])) as proxy:
        yield Way(stripe, proxy)
