"""Webhooks, for administrators: the endpoints that are told what happens to orders."""

import os
import time
import uuid
from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Request, Response

from services.notification import queries
from services.notification.bodies import (
    DeliveryList,
    DeliveryView,
    EndpointChanges,
    EndpointList,
    EndpointView,
    EndpointWithSecret,
    NewEndpoint,
    ReplayRequest,
    TriedView,
)
from services.notification.cloudevents import TEST, EventType, Happened
from services.notification.courier import Sender
from services.notification.deliveries import DeliveryState
from services.notification.destinations import NotAllowed, checked
from services.notification.endpoints import (
    NO_SUCH_ENDPOINT,
    ChangeEndpoint,
    CreateEndpoint,
    DeleteEndpoint,
    EnableEndpoint,
    Endpoint,
    ReplayEvents,
    RotateSecret,
    owner,
)
from services.notification.signing import SECRET_BYTES, shown
from services.shared.contract.codes import Code
from services.shared.contract.decisions import Decision, NotFound, Refused
from services.shared.contract.idempotency import key_of
from services.shared.database.new_id import new_id
from services.shared.engine.life import TheEngine
from services.shared.http.auth import User
from services.shared.http.bodies import Id
from services.shared.http.cursors import LONGEST, cursor_of
from services.shared.http.dependencies import IDEMPOTENT, Holder, IdempotencyKeyHeader, replay
from services.shared.http.described import described
from services.shared.http.origin import by
from services.shared.http.rights import Right
from services.shared.http.routing import Route
from services.shared.http.validation import invalid
from services.shared.sealing import Seals

# Shorter than the gateway waits for an answer of ours.
TRIED_WITHIN: Final = 10.0
Admin = Annotated[User, Depends(Holder(Right.MANAGE_WEBHOOKS))]
router = APIRouter(prefix="/api/webhooks", tags=["webhooks"], route_class=Route)


async def _sender(request: Request) -> Sender:
    sender: Sender = request.app.state.sender
    return sender


TheSender = Annotated[Sender, Depends(_sender)]


async def _seals(sender: TheSender) -> Seals:
    if sender.seals is None:
        raise Refused("this shop has no webhooks: they need the setting WEBHOOKS_KEY")
    return sender.seals


TheSeals = Annotated[Seals, Depends(_seals)]


@router.get("")
async def list_webhooks(_: Admin, engine: TheEngine) -> EndpointList:
    """List all endpoints, the oldest first, without pages."""
    now = engine.clock.now()
    return EndpointList(items=[EndpointView.of(each, now) for each in await queries.endpoints(engine.store)])


@router.post(
    "",
    status_code=HTTPStatus.CREATED,
    openapi_extra=IDEMPOTENT,
    responses=described([Code.IDEMPOTENCY_KEY_REUSED, Code.STATE_FORBIDS]),
)
async def create_webhook(  # FastAPI passes them by name
    body: NewEndpoint,
    admin: Admin,
    engine: TheEngine,
    sender: TheSender,
    seals: TheSeals,
    *,
    request: Request,
    response: Response,
    idempotency_key: IdempotencyKeyHeader,
) -> EndpointWithSecret:
    """Create an endpoint, which receives events from now on. Only this answer shows its secret.

    The same Idempotency-Key returns the same endpoint without its secret. If the first answer was lost,
    `rotate` the secret.
    """
    url = _url(sender, body.url)
    endpoint_id, secret = new_id(), os.urandom(SECRET_BYTES)
    command = CreateEndpoint(
        endpoint_id=endpoint_id,
        key=key_of(f"create-webhook/{admin.id}", idempotency_key, body.model_dump(mode="json")),
        url=url,
        description=body.description,
        types=_types(body.types),
        sealed=seals.seal(secret, owner(endpoint_id)),
        others=len(await queries.endpoints(engine.store)),
    )
    decision = await engine.execute(command, id_=endpoint_id, by=by(request, admin))
    endpoint, to_be_shown = _endpoint(decision), None if decision.replayed else shown(secret)
    response.headers.update({"Location": f"{router.prefix}/{endpoint.id}", **replay(decision)})
    return EndpointWithSecret.showing(endpoint, engine.clock.now(), to_be_shown)


@router.get("/{endpoint_id}")
async def get_webhook(endpoint_id: Id, _: Admin, engine: TheEngine) -> EndpointView:
    """One endpoint."""
    return EndpointView.of(await _existing(engine, endpoint_id), engine.clock.now())


@router.patch("/{endpoint_id}")
async def change_webhook(
    endpoint_id: Id,
    body: EndpointChanges,
    admin: Admin,
    engine: TheEngine,
    sender: TheSender,
    request: Request,
) -> EndpointView:
    """Change the fields that are sent. Waiting deliveries go to the new URL."""
    command = ChangeEndpoint(
        endpoint_id=endpoint_id,
        url=None if body.url is None else _url(sender, body.url),
        description=body.description,
        types=None if body.types is None else _types(body.types),
    )
    endpoint = _endpoint(await engine.execute(command, id_=str(uuid.uuid4()), by=by(request, admin)))
    return EndpointView.of(endpoint, engine.clock.now())


@router.delete("/{endpoint_id}", status_code=HTTPStatus.NO_CONTENT)
async def delete_webhook(endpoint_id: Id, admin: Admin, engine: TheEngine, request: Request) -> None:
    """Delete an endpoint. Its waiting deliveries are dropped."""
    command = DeleteEndpoint(endpoint_id=endpoint_id)
    await engine.execute(command, id_=str(uuid.uuid4()), by=by(request, admin))


@router.post("/{endpoint_id}/rotate", responses=described([Code.STATE_FORBIDS]))
async def rotate_webhook_secret(
    endpoint_id: Id, admin: Admin, engine: TheEngine, seals: TheSeals, request: Request
) -> EndpointWithSecret:
    """Create a new secret, which only this answer shows. For a day, the former one signs calls, too."""
    secret = os.urandom(SECRET_BYTES)
    command = RotateSecret(endpoint_id=endpoint_id, sealed=seals.seal(secret, owner(endpoint_id)))
    endpoint = _endpoint(await engine.execute(command, id_=str(uuid.uuid4()), by=by(request, admin)))
    return EndpointWithSecret.showing(endpoint, engine.clock.now(), shown(secret))


@router.post("/{endpoint_id}/enable")
async def enable_webhook(endpoint_id: Id, admin: Admin, engine: TheEngine, request: Request) -> EndpointView:
    """Enable a disabled endpoint. A replay sends what happened meanwhile."""
    command = EnableEndpoint(endpoint_id=endpoint_id)
    endpoint = _endpoint(await engine.execute(command, id_=str(uuid.uuid4()), by=by(request, admin)))
    return EndpointView.of(endpoint, engine.clock.now())


@router.post("/{endpoint_id}/test")
async def try_webhook(endpoint_id: Id, _: Admin, engine: TheEngine, sender: TheSender) -> TriedView:
    """Call the endpoint, disabled or not, with an event of the type `sagashop.webhook.test.v1`."""
    endpoint, now = await _existing(engine, endpoint_id), engine.clock.now()
    id_, data = str(uuid.uuid4()), {"endpointId": endpoint_id}
    event = Happened(id_, TEST, endpoint_id, now, None, data, kind="webhooks")
    began = time.perf_counter()
    answer = await sender.send(endpoint, id_, event, now, TRIED_WITHIN)
    return TriedView.of(answer, time.perf_counter() - began)


@router.get("/{endpoint_id}/deliveries")
async def list_webhook_deliveries(
    endpoint_id: Id,
    _: Admin,
    engine: TheEngine,
    state: DeliveryState | None = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    cursor: Annotated[
        str | None, Query(max_length=LONGEST, description="`nextCursor` of the previous page")
    ] = None,
) -> DeliveryList:
    """Deliveries that were made or are waiting, the newest event first. Kept for 30 days."""
    await _existing(engine, endpoint_id)
    states = DeliveryState if state is None else [state]
    page = await queries.page(engine.store, endpoint_id, states, limit, cursor_of(cursor))
    return DeliveryList(
        items=[DeliveryView.of(each) for each in page.deliveries],
        next_cursor=page.next and page.next.encode(),
    )


@router.post(
    "/{endpoint_id}/replay", status_code=HTTPStatus.ACCEPTED, responses=described([Code.STATE_FORBIDS])
)
async def replay_webhooks(
    endpoint_id: Id, body: ReplayRequest, admin: Admin, engine: TheEngine, request: Request
) -> EndpointView:
    """Send the events of a time span again, delivered or not, with the same `webhook-id`s.

    409 while another replay is running, or if the endpoint is disabled.
    """
    id_, now = new_id(), engine.clock.now()
    command = ReplayEvents(
        endpoint_id=endpoint_id,
        replay_id=id_,
        since=body.since,
        until=body.until or now,
        types=_types(body.types),
    )
    endpoint = _endpoint(await engine.execute(command, id_=id_, by=by(request, admin)))
    return EndpointView.of(endpoint, now)


async def _existing(engine: TheEngine, endpoint_id: str) -> Endpoint:
    endpoint = await queries.endpoint(engine.store, endpoint_id)
    if endpoint is None:
        raise NotFound(NO_SUCH_ENDPOINT)
    return endpoint


def _url(sender: Sender, text: str) -> str:
    try:
        return str(checked(text, sender.caller.allowed))
    except NotAllowed as error:
        raise invalid("body", ["url"], str(error)) from error


def _types(given: Sequence[EventType]) -> tuple[EventType, ...]:
    """Each once."""
    return tuple(dict.fromkeys(given))


def _endpoint(decision: Decision) -> Endpoint:
    endpoint: Endpoint = decision.reply  # type: ignore[assignment]  # every command of an endpoint answers so
    return endpoint
