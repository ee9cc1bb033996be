"""Who asks, and from where: what the audit trail says of a request."""

from fastapi import Request

from services.shared import telemetry
from services.shared.contract.audit import NOBODY, Actor, By
from services.shared.http.auth import User


def address_of(request: Request) -> str:
    """As the gateway worked it out; of who asks the service itself, the peer's."""
    return request.headers.get("x-forwarded-for") or (request.client.host if request.client else "")


def by(request: Request, who: User | Actor = NOBODY) -> By:
    actor = who.actor if isinstance(who, User) else who
    return By(actor, address_of(request), telemetry.current_request_id())
