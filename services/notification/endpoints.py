"""Where the shop's events are sent: what administrators do with an endpoint, and what becomes of it. Pure."""

from collections.abc import Callable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, ClassVar, Final

from msgspec import Struct, structs

from services.notification.cloudevents import EventType
from services.shared.contract.audit import Action
from services.shared.contract.decisions import (
    Aggregate,
    Decision,
    Loaded,
    Message,
    NotFound,
    Refused,
    audited,
)
from services.shared.contract.idempotency import Keyed

# After a rotation what is sent is signed by the former secret, too, for so long.
ROTATED_OVER: Final = timedelta(hours=24)
# Whoever rotates again and again, as after an answer that was lost, ends no secret before its time.
MOST_SECRETS: Final = 5
# Nothing was delivered for so long: nobody seems to be there.
GIVEN_UP_AFTER: Final = timedelta(hours=72)
# Of one shop: each has a share of what is sent at the same time.
MOST_ENDPOINTS: Final = 50
NO_SUCH_ENDPOINT: Final = "there is no such endpoint"
GONE: Final = "it answered 410 Gone"


class EndpointState(StrEnum):
    ENABLED = "ENABLED"
    # Nothing is sent, and what waited is dropped; all of it can be replayed.
    DISABLED = "DISABLED"
    DELETED = "DELETED"


class Secret(Struct, frozen=True, rename="camel"):
    """What calls are signed by, sealed."""

    sealed: str
    # Until when, of one that has a successor.
    until: datetime | None = None


class Replay(Struct, frozen=True, rename="camel", kw_only=True):
    """What happened in a time is sent again, whether or not it was delivered."""

    id: str
    # From then on, and before the other.
    since: datetime
    until: datetime
    # None: all that the endpoint is told.
    types: tuple[EventType, ...] = ()
    # The last event that was looked at, by its time and id.
    position: tuple[datetime, str] | None = None
    # Deliveries that it made so far.
    count: int = 0
    done: bool = False


class Endpoint(Aggregate, frozen=True, kw_only=True):
    collection: ClassVar[str] = "webhookEndpoints"
    url: str
    description: str = ""
    # What it is told of; nothing stands for all, those included that there will be.
    types: tuple[EventType, ...] = ()
    state: EndpointState = EndpointState.ENABLED
    # Why it is DISABLED.
    reason: str = ""
    # The newest first.
    secrets: tuple[Secret, ...] = ()
    # Since when nothing was delivered, while tries fail.
    failing_since: datetime | None = None
    # The latest.
    replay: Replay | None = None
    created_at: datetime
    updated_at: datetime

    def wants(self, type_: EventType) -> bool:
        return not self.types or type_ in self.types


def owner(endpoint_id: str) -> str:
    """Whose a secret is, to who seals it."""
    return f"{Endpoint.collection}/{endpoint_id}"


def signing(endpoint: Endpoint, at: datetime) -> tuple[str, ...]:
    """The sealed secrets that sign at that time."""
    return tuple(each.sealed for each in endpoint.secrets if each.until is None or at < each.until)


# --- commands ---------------------------------------------------------------------------------------------


class CreateEndpoint(Keyed, frozen=True, kw_only=True):
    # Made by the caller, as are secrets: nothing here is random.
    endpoint_id: str
    url: str
    description: str
    types: tuple[EventType, ...]
    sealed: str
    # How many there are without it.
    others: int = 0


class ChangeEndpoint(Struct, frozen=True, kw_only=True):
    """None leaves a field as it is."""

    endpoint_id: str
    url: str | None = None
    description: str | None = None
    types: tuple[EventType, ...] | None = None


class RotateSecret(Struct, frozen=True, kw_only=True):
    endpoint_id: str
    sealed: str


class ResealSecrets(Struct, frozen=True, kw_only=True):
    """There is a newer key: what was sealed before, as it is sealed now."""

    endpoint_id: str
    sealed: dict[str, str]


class EnableEndpoint(Struct, frozen=True, kw_only=True):
    endpoint_id: str


class DeleteEndpoint(Struct, frozen=True, kw_only=True):
    endpoint_id: str


class ReplayEvents(Struct, frozen=True, kw_only=True):
    endpoint_id: str
    replay_id: str
    since: datetime
    until: datetime
    types: tuple[EventType, ...] = ()


class ReportTry(Struct, frozen=True, kw_only=True):
    """What the endpoint did with what was sent."""

    endpoint_id: str
    delivered: bool
    gone: bool = False


class AdvanceReplay(Struct, frozen=True, kw_only=True):
    endpoint_id: str
    replay_id: str
    # None where there was nothing more.
    position: tuple[datetime, str] | None
    # Deliveries that were made since the last time.
    count: int


Command = (
    CreateEndpoint
    | ChangeEndpoint
    | RotateSecret
    | ResealSecrets
    | EnableEndpoint
    | DeleteEndpoint
    | ReplayEvents
    | ReportTry
    | AdvanceReplay
)


def decide(loaded: Loaded, message: Message, command: Command) -> Decision:
    """The reply is the endpoint. Raises NotFound and Refused."""
    if isinstance(command, CreateEndpoint):
        decision = _create(command, message.at)
    else:
        before = loaded.get(Endpoint, command.endpoint_id)
        if before is None or before.state is EndpointState.DELETED:
            raise NotFound(NO_SUCH_ENDPOINT)
        decision = _changed(before, _AFTER[type(command)](before, command, message.at), message.at)
    action = ACTIONS.get(type(command))
    if action is None:
        return decision
    return audited(decision, message, action, command.endpoint_id, detail=_detail(command))


def _create(command: CreateEndpoint, at: datetime) -> Decision:
    if command.others >= MOST_ENDPOINTS:
        raise Refused(f"there are {command.others} endpoints, and there may be no more: delete one first")
    endpoint = Endpoint(
        id=command.endpoint_id,
        url=command.url,
        description=command.description,
        types=command.types,
        secrets=(Secret(command.sealed),),
        created_at=at,
        updated_at=at,
    )
    return Decision(changed=(endpoint,), reply=endpoint)


def _changed(before: Endpoint, after: Endpoint, at: datetime) -> Decision:
    """What would change nothing does not count as a change."""
    if after == before:
        return Decision(reply=before)
    after = structs.replace(after, updated_at=at)
    return Decision(changed=(after,), reply=after)


def _edited(endpoint: Endpoint, command: ChangeEndpoint, _: datetime) -> Endpoint:
    given = {name: getattr(command, name) for name in ("url", "description", "types")}
    return structs.replace(endpoint, **{name: value for name, value in given.items() if value is not None})


def _rotated(endpoint: Endpoint, command: RotateSecret, at: datetime) -> Endpoint:
    """The former one has its end now; one that had it before keeps it."""
    former = tuple(
        structs.replace(each, until=each.until or at + ROTATED_OVER)
        for each in endpoint.secrets
        if each.until is None or at < each.until
    )
    if len(former) >= MOST_SECRETS:
        raise Refused(f"{len(former)} secrets are in use: wait until the oldest of them ends")
    return structs.replace(endpoint, secrets=(Secret(command.sealed), *former))


def _resealed(endpoint: Endpoint, command: ResealSecrets, _: datetime) -> Endpoint:
    secrets = tuple(
        structs.replace(each, sealed=command.sealed.get(each.sealed, each.sealed))
        for each in endpoint.secrets
    )
    return structs.replace(endpoint, secrets=secrets)


def _enabled(endpoint: Endpoint, _: EnableEndpoint, __: datetime) -> Endpoint:
    return structs.replace(endpoint, state=EndpointState.ENABLED, reason="", failing_since=None)


def _deleted(endpoint: Endpoint, _: DeleteEndpoint, __: datetime) -> Endpoint:
    """What is left says that there was one, and nothing of where."""
    return structs.replace(
        endpoint, state=EndpointState.DELETED, url="", description="", secrets=(), replay=None
    )


def _replaying(endpoint: Endpoint, command: ReplayEvents, at: datetime) -> Endpoint:
    if endpoint.state is not EndpointState.ENABLED:
        raise Refused("the endpoint is disabled: enable it first")
    if endpoint.replay is not None and not endpoint.replay.done:
        raise Refused("a replay is under way: wait for its end")
    replay = Replay(
        id=command.replay_id,
        since=command.since,
        # What happens from now on is sent without it.
        until=min(command.until, at),
        types=command.types,
    )
    return structs.replace(endpoint, replay=replay)


def _tried(endpoint: Endpoint, command: ReportTry, at: datetime) -> Endpoint:
    if endpoint.state is not EndpointState.ENABLED:
        return endpoint
    if command.delivered:
        return structs.replace(endpoint, failing_since=None)
    since = endpoint.failing_since or at
    failing = structs.replace(endpoint, failing_since=since)
    if command.gone:
        return disabled(failing, GONE)
    if at - since >= GIVEN_UP_AFTER:
        hours = GIVEN_UP_AFTER // timedelta(hours=1)
        return disabled(failing, f"nothing was delivered for {hours} hours")
    return failing


def disabled(endpoint: Endpoint, reason: str) -> Endpoint:
    """A replay that was under way is over: its deliveries would be dropped."""
    replay = endpoint.replay and structs.replace(endpoint.replay, done=True)
    return structs.replace(endpoint, state=EndpointState.DISABLED, reason=reason, replay=replay)


def is_news(endpoint: Endpoint, report: ReportTry, at: datetime) -> bool:
    """Whether the report would change anything: most do not, and are not worth a transaction."""
    return _tried(endpoint, report, at) != endpoint


def _advanced(endpoint: Endpoint, command: AdvanceReplay, _: datetime) -> Endpoint:
    replay = endpoint.replay
    if replay is None or replay.id != command.replay_id or replay.done:
        return endpoint
    position = command.position or replay.position
    done, count = command.position is None, replay.count + command.count
    return structs.replace(
        endpoint, replay=structs.replace(replay, position=position, count=count, done=done)
    )


_AFTER: Final[dict[type, Callable[[Endpoint, Any, datetime], Endpoint]]] = {
    ChangeEndpoint: _edited,
    RotateSecret: _rotated,
    ResealSecrets: _resealed,
    EnableEndpoint: _enabled,
    DeleteEndpoint: _deleted,
    ReplayEvents: _replaying,
    ReportTry: _tried,
    AdvanceReplay: _advanced,
}
# Of what people do. A URL may be a secret itself, and is not told.
ACTIONS: Final[dict[type, Action]] = {
    CreateEndpoint: Action.WEBHOOK_CREATED,
    ChangeEndpoint: Action.WEBHOOK_CHANGED,
    RotateSecret: Action.WEBHOOK_SECRET_ROTATED,
    EnableEndpoint: Action.WEBHOOK_ENABLED,
    DeleteEndpoint: Action.WEBHOOK_DELETED,
    ReplayEvents: Action.WEBHOOK_REPLAYED,
}


def _detail(command: Command) -> str:
    match command:
        case ChangeEndpoint():
            given = ("url", "description", "types")
            return ", ".join(name for name in given if getattr(command, name) is not None)
        case ReplayEvents(since=since, until=until):
            return f"{since.isoformat()} to {until.isoformat()}"
    return ""
