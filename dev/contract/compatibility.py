"""What of a contract's next version would break those who know only the one before. Pure.

While an upgrade, or its way back, is under way, replicas of both versions publish to each other; and outside
clients are upgraded never, or later. So a body has to be read by both, whoever wrote it: a field that was
released keeps its meaning, and new things are beside it.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from dev.contract.contract import Contract, Schema

# What is said about a value, and decides on none.
REMARKS: Final = frozenset(
    {"$schema", "title", "description", "examples", "format", "$comment", "deprecated"}
)
# What is compared part by part.
PARTS: Final = frozenset({"properties", "required", "items", "$defs"})


class Break(NamedTuple):
    """`where` is a type, a queue or a field, such as `ORDER_PAID data.products[].quantity`."""

    where: str
    what: str
    instead: str

    def __str__(self) -> str:
        return f"{self.where} {self.what}: {self.instead}"


def breaks(before: Contract, after: Contract) -> Iterator[Break]:
    """`before` is what was released."""
    if after.exchange != before.exchange:
        yield Break(
            f"exchange {before.exchange}",
            f"is called {after.exchange}",
            "keep its name, or whoever publishes to it reaches nobody",
        )
    yield from _publishers(before, after)
    yield from _queues(before, after)
    for type_, schema in before.schemas.items():
        if (now := after.schemas.get(type_)) is not None:
            yield from _changed(_Side(schema, schema), _Side(now, now), type_)


def _publishers(before: Contract, after: Contract) -> Iterator[Break]:
    for service, types in before.publishes.items():
        for type_ in types:
            if type_ not in after.schemas:
                yield Break(
                    type_,
                    "is gone",
                    "go on publishing it beside what replaces it, until no consumer wants it any more",
                )
            elif type_ not in after.publishes.get(service, ()):
                yield Break(
                    type_,
                    f"is no longer published by {service}",
                    "leave it there, or publish another type from elsewhere: the broker holds each service to"
                    " its own types, and replicas of both versions publish",
                )


def _queues(before: Contract, after: Contract) -> Iterator[Break]:
    for name, queue in before.queues.items():
        now = after.queues.get(name)
        if now is None or now.consumer != queue.consumer:
            gone = "is gone" if now is None else f"is consumed by {now.consumer} instead of {queue.consumer}"
            yield Break(
                f"queue {name}",
                gone,
                f"let {queue.consumer} go on consuming it: messages are in it, and in its retry queues",
            )
            continue
        for type_ in queue.events:
            if type_ not in now.events:
                yield Break(
                    f"queue {name}",
                    f"no longer takes {type_}",
                    "go on taking it, and do nothing about it: those in the queue would be dead letters",
                )
        if now.arguments != queue.arguments:
            yield Break(
                f"queue {name}",
                "is declared with other arguments",
                "make a queue of another name beside it: RabbitMQ does not change one that is there",
            )


# --- bodies -----------------------------------------------------------------------------------------------


class _Side(NamedTuple):
    """A part of a schema, and the whole that it refers to."""

    schema: Schema
    whole: Schema

    def inside(self, part: Schema) -> "_Side":
        return _Side(part, self.whole)

    @property
    def plain(self) -> Schema:
        """With what it refers to, where it does."""
        beside = {name: value for name, value in self.schema.items() if name != "$ref"}
        if beside == self.schema:
            return self.schema
        found: Schema = self.whole["$defs"][self.schema["$ref"].rpartition("/")[2]]
        return found | beside


def _changed(before: _Side, after: _Side, where: str) -> Iterator[Break]:
    old, new = before.plain, after.plain
    said_before, said_now = _said(old, before), _said(new, after)
    if said_before != said_now:
        differing = sorted(
            name
            for name in said_before.keys() | said_now.keys()
            if said_before.get(name) != said_now.get(name)
        )
        yield Break(
            where,
            f"has another {' and '.join(differing)}",
            "leave it as it was released, and say it in a new optional field: one side of an upgrade would"
            " refuse, or misread, what the other publishes",
        )
        return
    yield from _fields(before, after, where)
    if "items" in old:
        yield from _changed(before.inside(old["items"]), after.inside(new["items"]), f"{where}[]")
    for one, other in zip(old.get("anyOf", ()), new.get("anyOf", ()), strict=True):
        yield from _changed(before.inside(one), after.inside(other), where)


def _said(schema: Schema, side: _Side) -> Mapping[str, Any]:
    """Of a value by itself: what neither a remark nor a part says."""
    said = {name: value for name, value in schema.items() if name not in REMARKS | PARTS}
    if "anyOf" in said:
        said["anyOf"] = [_said(side.inside(each).plain, side) for each in said["anyOf"]]
    return said


def _fields(before: _Side, after: _Side, where: str) -> Iterator[Break]:
    old, new = before.plain, after.plain
    there, now = old.get("properties", {}), new.get("properties", {})
    needed, needed_now = set(old.get("required", ())), set(new.get("required", ()))
    for name, field in there.items():
        place = _place(where, name)
        if name not in now:
            yield Break(
                place,
                "is gone",
                "go on writing it: whoever knows the released version reads it, or takes its absence for its"
                " default",
            )
            continue
        if name in needed - needed_now:
            yield Break(
                place,
                "may be left out now",
                "go on writing it always: whoever knows the released version refuses a body without it",
            )
        if name in needed_now - needed:
            yield Break(
                place,
                "must be there now",
                "leave it optional: bodies without it are under way, and outside publishers send more",
            )
        yield from _changed(before.inside(field), after.inside(now[name]), place)
    for name in now.keys() - there.keys():
        if name in needed_now:
            yield Break(
                _place(where, name),
                "is new and must be there",
                "give it a default: bodies without it are under way, and the other version publishes more",
            )


def _place(where: str, name: str) -> str:
    """Below the type, with dots between names."""
    return f"{where}.{name}" if " " in where else f"{where} {name}"
