"""No effect before its intent is stored where no fail-over takes it back."""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, Self, cast

import pytest
from pymongo.errors import BulkWriteError

from services.shared.contract.decisions import Aggregate, Decision, Message, Ref
from services.shared.database.store import Store
from services.shared.engine import effects
from services.shared.engine.batching import Batching
from services.shared.engine.effects import Effects, EffectStage
from tests.engine.toy import Toy, home, intend, pay


class Result(NamedTuple):
    matched_count: int


class Database:
    """Answers the next write of intents with one of these errors; then stores them."""

    def __init__(self, *errors: dict[str, Any]) -> None:
        self._errors = list(errors)
        self.writes = 0

    async def load(self, refs: Iterable[Ref]) -> dict[Ref, Aggregate | None]:
        return dict.fromkeys(refs)

    def collection(self, _: type[Aggregate]) -> Self:
        return self

    async def bulk_write(self, _: Sequence[object], *, ordered: bool) -> Result:
        assert not ordered
        self.writes += 1
        if self._errors:
            raise BulkWriteError(self._errors.pop())
        return Result(0)


@pytest.mark.parametrize(
    "error",
    [
        {"writeErrors": [], "writeConcernErrors": [{"code": 64, "errmsg": "waiting for replication"}]},
        {"writeErrors": [{"index": 0, "code": 11600}], "writeConcernErrors": []},
        {"writeErrors": [{"index": 0, "code": 11000}], "writeConcernErrors": []},
    ],
    ids=["without a majority", "shutting down", "somebody else was first"],
)
async def test_nothing_is_done_before_its_intent_is_stored(
    error: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(effects, "BACKOFF_SECONDS", (0.0,))
    database = Database(error)
    writes_before_the_effect: list[int] = []

    async def perform(_: Toy, message: Message) -> object:
        writes_before_the_effect.append(database.writes)
        return message.body

    def submit(_: Message) -> "asyncio.Future[Decision]":
        decided: asyncio.Future[Decision] = asyncio.get_running_loop().create_future()
        decided.set_result(Decision())
        return decided

    stage = EffectStage(
        cast("Store", database),
        home,
        Effects(intend, perform),
        submit,
        Batching(100, linger_seconds=0),
    )
    running = asyncio.create_task(stage.run())
    async with asyncio.timeout(1):
        await stage.submit(Message(id="1", source="q", body=pay("a"), at=datetime.now(UTC)))
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert writes_before_the_effect == [2]
