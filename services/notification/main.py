"""The notification service: `python -m services.notification.main`."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from fastapi import FastAPI

from services.notification import api, internal, mails
from services.notification.caller import Caller
from services.notification.courier import Sender as WebhookSender
from services.notification.courier import carry
from services.notification.domain import NOTIFICATIONS
from services.notification.effects import Mailing
from services.notification.metrics import count
from services.notification.queries import INDEXES
from services.notification.resending import resend
from services.notification.settings import NotificationSettings
from services.shared.database.counting import counting
from services.shared.database.store import UNAVAILABLE
from services.shared.engine.life import Engine, engine_life
from services.shared.http.app import ReadinessCheck, create_app
from services.shared.http.serving import serve
from services.shared.mail.sending import post_office

log = logging.getLogger(__name__)


def make_app(settings: NotificationSettings) -> FastAPI:
    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[ReadinessCheck]:
        async with post_office(settings) as post, _sending(settings) as sender:
            if post is None:
                log.info("no mail is sent: there is no SMTP_URL, and what would be sent is recorded")
            app.state.sender = sender
            effects = {} if post is None else Mailing(post).effects()
            engine = engine_life(
                lambda: Engine(settings, NOTIFICATIONS, indexes=INDEXES, effects=effects),
                counting(count),
                partial(carry, sender),
                *([] if post is None else [partial(resend, post)]),
            )
            async with engine(app) as readiness:
                yield readiness

    also = [mails.router, internal.router]
    app = create_app(settings, api.router, life, also=also, unavailable=UNAVAILABLE)
    app.state.sends_mail = settings.server is not None
    return app


@asynccontextmanager
async def _sending(settings: NotificationSettings) -> AsyncIterator[WebhookSender]:
    caller = Caller(settings.webhook_allow_networks, settings.webhook_ca_file)
    try:
        yield WebhookSender(caller, settings.seals, settings.webhook_source)
    finally:
        await caller.close()


if __name__ == "__main__":
    settings = NotificationSettings.given()
    serve(make_app(settings), settings)
