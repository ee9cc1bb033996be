"""The console: `python -m console.main`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.staticfiles import StaticFiles

from console import answers
from console.api import router
from console.checking import Checks
from console.cluster import Cluster
from console.reading import Shop
from console.samples import Samples
from console.services import Services
from console.sessions import Sessions
from console.settings import ConsoleSettings
from console.visitors import WINDOW_SECONDS, Door
from console.work import Jobs
from sagactl.oncall.books import reading
from services.gateway.limiter import Limiter
from services.shared.cache import connect_redis
from services.shared.health import Readiness, in_background
from services.shared.http.app import ReadinessCheck, create_app
from services.shared.http.preconditions import FORM
from services.shared.http.serving import serve

STATIC: Final = "/static"


def make_app(settings: ConsoleSettings) -> FastAPI:
    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[ReadinessCheck]:
        redis = connect_redis(settings.redis_url)
        async with reading(settings.mongodb_url) as books, redis:
            services = Services(app.state.http, settings.urls)
            app.state.services = services
            shop = app.state.shop = Shop(settings.access, books, Cluster.here(), settings.order_service)
            store = app.state.store = books.store("console")
            jobs = app.state.jobs = Jobs(settings.access, store, services, shop.forget_letters)
            app.state.door = Door(services, Sessions(redis), app.state.tokens, Limiter(redis, WINDOW_SECONDS))
            checks = app.state.checks = Checks(settings.access, books)
            samples = app.state.samples = Samples(shop.status)
            async with in_background(jobs.work(), "jobs") as background:
                background.run(checks.work(), "checks")
                background.run(samples.take(), "samples")
                app.state.background = background
                yield _readiness

    app = create_app(
        settings,
        router,
        life,
        own_openapi=False,
        before_routes=[Middleware(answers.Pages)],
        takes=FORM,
        refusing=answers.refused,
    )
    app.state.insecure_cookie = settings.insecure_cookie
    app.state.jaeger_url = settings.jaeger_url
    app.state.trusted_proxies = settings.trusted_proxies
    app.mount(STATIC, StaticFiles(packages=[("console", "static")]))
    answers.install(app)
    return app


async def _readiness() -> Readiness:
    """Whatever is away, what is left of the shop is to be seen here."""
    return Readiness(ready=True, detail="ok")


if __name__ == "__main__":
    settings = ConsoleSettings.given()
    serve(make_app(settings), settings)
