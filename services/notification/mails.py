"""Mails to customers, for the shop's staff: one that did not arrive is sent once more."""

import uuid
from http import HTTPStatus
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request, Response

from services.notification.bodies import NotificationView
from services.notification.domain import Notification, ResendMail
from services.shared.contract.codes import Code
from services.shared.contract.decisions import Refused
from services.shared.contract.idempotency import key_of
from services.shared.engine.life import TheEngine
from services.shared.http.auth import User
from services.shared.http.bodies import Id
from services.shared.http.dependencies import IDEMPOTENT, Holder, IdempotencyKeyHeader, replay
from services.shared.http.described import described
from services.shared.http.origin import by
from services.shared.http.rights import Right
from services.shared.http.routing import Route

NO_MAIL: Final = "this shop sends no mail: it has no SMTP_URL"
router = APIRouter(prefix="/api/notifications", tags=["notifications"], route_class=Route)


async def _sends_mail(request: Request) -> None:
    if not request.app.state.sends_mail:
        raise Refused(NO_MAIL)


@router.post(
    "/{notification_id}/resend",
    status_code=HTTPStatus.ACCEPTED,
    openapi_extra=IDEMPOTENT,
    responses=described([Code.STATE_FORBIDS, Code.IDEMPOTENCY_KEY_REUSED]),
)
async def resend_mail(  # FastAPI passes them by name
    notification_id: Id,
    staff: Annotated[User, Depends(Holder(Right.RESEND_MAILS))],
    _: Annotated[None, Depends(_sends_mail)],
    engine: TheEngine,
    request: Request,
    response: Response,
    idempotency_key: IdempotencyKeyHeader,
) -> NotificationView:
    """Send the mail of a notification again: a new mail with the same content, to the same address.

    It is sent in the background: `resentAt` is set meanwhile, then `state` shows the result. 409 if there is
    no mail to send (for example, the customer was erased), or while one is being sent.
    """
    key = key_of(f"resend-mail/{staff.id}", idempotency_key, [notification_id])
    command = ResendMail(notification_id=notification_id, key=key)
    decision = await engine.execute(command, id_=str(uuid.uuid4()), by=by(request, staff))
    notification: Notification = decision.reply  # type: ignore[assignment]  # what the command answers with
    response.headers.update(replay(decision))
    return NotificationView.of(notification)
