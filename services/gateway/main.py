"""The gateway: `python -m services.gateway.main`."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import aiohttp
from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.staticfiles import StaticFiles

from services.gateway import pages
from services.gateway.api import describe, router
from services.gateway.callers import Strangers
from services.gateway.limiter import Limiter
from services.gateway.origins import CORS, Origins
from services.gateway.proxy import Gate, Proxy
from services.gateway.settings import GatewaySettings
from services.gateway.upstream import Upstream, begin, make_session
from services.shared.cache import connect_redis
from services.shared.health import Readiness, in_background
from services.shared.http.app import ReadinessCheck, create_app
from services.shared.http.auth import KeysUnavailable, Tokens
from services.shared.http.serving import serve
from services.shared.http.streams import Streams
from services.shared.kept import Kept

RETRY_SECONDS: Final = 1.0
# Keys that are about to become stale are fetched again here, so that no request waits for them.
REFRESH_SECONDS: Final = 60.0
# Each time it asks every service whether it lives, and anybody may ask for it.
READINESS_SECONDS: Final = 1.0
PROBE_TIMEOUT: Final = aiohttp.ClientTimeout(total=1)
log = logging.getLogger(__name__)


def make_app(settings: GatewaySettings) -> FastAPI:
    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[ReadinessCheck]:
        begin(settings.upstreams)
        async with make_session() as session:
            gate = Gate(
                settings=settings,
                tokens=app.state.tokens,
                limiter=Limiter(connect_redis(settings.redis_url), settings.rate_limit_window_seconds)
                if settings.rate_limit_enabled
                else None,
                upstreams={
                    service: Upstream(
                        service, url, session, settings.upstream_timeout_seconds, app.state.stopping
                    )
                    for service, url in settings.upstreams.items()
                },
                streams=Streams(settings.max_connections, settings.max_streams_per_address),
                strangers=Strangers(settings.trusted_proxies),
                description=Kept(lambda: describe(gate.upstreams.values())),
            )
            app.state.gate = gate
            try:
                keys = _keep_keys(gate.tokens)
                async with in_background(keys, "signing keys") as app.state.background:
                    yield Kept(lambda: _readiness_for_now(gate)).get
            finally:
                if gate.limiter is not None:
                    await gate.limiter.close()

    # Forwarded requests are traced and measured like any other, and never reach the router.
    app = create_app(
        settings,
        router,
        life,
        own_openapi=False,
        before_routes=[Middleware(Proxy)],
        begins_traces=not settings.trusted_traces,
    )
    app.mount(pages.SWAGGER, StaticFiles(packages=[("fastapi_offline", "static")]))
    app.mount(pages.STATIC, StaticFiles(packages=[("services.gateway", "statics")]))
    if settings.cors_origins:
        app.add_middleware(Origins, allow_origins=settings.cors_origins, **CORS)
    return app


async def _keep_keys(tokens: Tokens) -> None:
    reason = ""
    while True:
        try:
            await tokens.prepare()
        except KeysUnavailable as error:
            # Once for each reason: it is asked for every second.
            if str(error) != reason:
                reason = str(error)
                log.warning("waiting for the signing keys: %s", reason)
        await asyncio.sleep(REFRESH_SECONDS if tokens.ready else RETRY_SECONDS)


async def _readiness_for_now(gate: Gate) -> tuple[Readiness, float]:
    return await readiness(gate), READINESS_SECONDS


async def readiness(gate: Gate) -> Readiness:
    """Without keys no caller can be let in. Whatever else is unavailable, something still works."""
    if not gate.tokens.ready:
        return Readiness(ready=False, detail="the signing keys are not loaded yet")
    upstreams = gate.upstreams.values()
    alive = await asyncio.gather(*(_is_alive(upstream) for upstream in upstreams))
    missing = [upstream.service for upstream, is_alive in zip(upstreams, alive, strict=True) if not is_alive]
    return Readiness(ready=True, detail=f"degraded: unavailable: {', '.join(missing)}" if missing else "ok")


async def _is_alive(upstream: Upstream) -> bool:
    try:
        async with upstream.session.get(f"{upstream.url}/healthz", timeout=PROBE_TIMEOUT) as answer:
            return answer.ok
    except (aiohttp.ClientError, TimeoutError):
        return False


if __name__ == "__main__":
    settings = GatewaySettings.given()
    serve(make_app(settings), settings)
