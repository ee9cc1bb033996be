"""The drill's shop: with mails and webhooks, and with a double of Stripe behind a way that can be hurt."""

import ssl
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final, NamedTuple

import trustme
from aiohttp import web

from dev.alert_drill.cluster import Cluster, operated
from dev.stripe_double import way as stripe_way
from dev.stripe_double.server import LOOPBACK, StripeDouble
from dev.survive.attempts import PLAYED
from dev.survive.site import COUNTED, PRODUCTS, Equipment, Site, opened

# What an endpoint answers, by its path: all but the last one once, the last one from then on.
ANSWERS: Final = {"ok": (204,), "gone": (410, 204), "fails": (503,)}


class Shop(NamedTuple):
    """What is hurt, and what a drill hurts it with."""

    site: Site
    stripe: StripeDouble
    # The URL of those that webhooks are sent to.
    receiver: str
    # By which `sagactl` finds the payment gateway: the provider's books can be read though the way is hurt.
    books: Mapping[str, str]
    # The operator's, in a drill that has it.
    cluster: Cluster | None = None


@asynccontextmanager
async def opened_shop(
    directory: Path, rate: float, say: Callable[[str], None], *, with_operator: bool
) -> AsyncIterator[Shop]:
    """Raises what the stack raises, and what the operator's cluster does."""
    async with AsyncExitStack() as closing:
        way = await closing.enter_async_context(stripe_way.opened())
        authority = trustme.CA()
        receiver = await closing.enter_async_context(_receiving(authority))
        believed = closing.enter_context(authority.cert_pem.tempfile())
        settings = {
            **COUNTED,
            **way.settings,
            "WEBHOOK_CA_FILE": believed,
            # One that tells, and one that takes over.
            "REPLICAS_NOTIFICATION": "2",
        }
        site = await closing.enter_async_context(
            opened(
                directory,
                settings,
                products=PRODUCTS,
                rate=rate,
                seed="drill",
                short=True,
                say=say,
                till=PLAYED._replace(price=stripe_way.PRICE),
                equipment=Equipment(mailbox=True),
            )
        )
        site.proxies[stripe_way.PAYMENT_GATEWAY] = way.proxy
        cluster = (
            await closing.enter_async_context(operated(site.stack, directory / "cluster"))
            if with_operator
            else None
        )
        yield Shop(site, way.stripe, receiver, way.books, cluster)


@asynccontextmanager
async def _receiving(authority: trustme.CA) -> AsyncIterator[str]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(LOOPBACK).configure_cert(context)
    calls: Counter[str] = Counter()

    async def answer(request: web.Request) -> web.Response:
        path = request.match_info["answer"]
        calls[path] += 1
        return web.Response(status=ANSWERS[path][: calls[path]][-1])

    app = web.Application()
    app.router.add_post("/{answer}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, LOOPBACK, 0, ssl_context=context).start()
        yield f"https://{LOOPBACK}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
