"""The simulation is not blind: with one piece of the engine broken, it fails within a few shops."""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

import pytest
from msgspec import structs
from pymongo import UpdateOne

from dev.simulate import gateway, replica
from dev.simulate.dice import Fault
from dev.simulate.running import Result, simulate
from dev.simulate.shop import Run
from dev.simulate.shrink import shrink
from services.payment.effects import ASKING
from services.payment.payment import AskAgain, Payment
from services.payment.refunds import leased
from services.shared.contract.decisions import Aggregate, Ref
from services.shared.engine import commit, intake
from services.shared.engine.batch import Batch, Undecided
from services.shared.engine.commit import Committer
from services.shared.engine.confirms import Outcome
from services.shared.engine.deliveries import Consumer
from services.shared.engine.envelope import Delivery
from services.shared.engine.leases import CLAIM, Due, Leases
from services.shared.engine.outbox import Outbox
from services.shared.engine.rows import OutboxEvent, Row

ORDERS: Final = 40
SHOPS: Final = 12


def first_failure(*often: Fault) -> Result:
    for seed in range(SHOPS):
        result = simulate(Run(f"broken.{seed}", ORDERS, often=frozenset(often)))
        if result.findings:
            return result
    pytest.fail(f"{SHOPS} shops did not notice")


def test_a_row_claimed_without_a_look_at_its_due(monkeypatch: pytest.MonkeyPatch) -> None:
    async def claim(self: Leases, rows: Sequence[Due], now: datetime) -> list[Row]:
        token, until = object(), now + CLAIM
        change = {"$set": {"due": until, "token": token}}
        await self._rows.bulk_write([UpdateOne({"_id": row.id}, change) for row in rows], ordered=False)
        won = self._rows.find({"_id": {"$in": [row.id for row in rows]}, "token": token})
        return [Row.of(document) for document in await won.to_list()]

    monkeypatch.setattr(Leases, "claim", claim)
    assert "claimed while it was somebody else's" in first_failure(Fault.BROKER_RESTARTED).findings[0]


def test_a_home_that_is_not_asked_what_it_has_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def forgetful(self: Batch, undecided: Undecided) -> None:
        try:
            decision = self._domain.decide(self, undecided.message)
            changed = self._remembering(undecided, decision)
        except Exception as error:  # noqa: BLE001  # as the engine does
            self.failed.append((undecided, error))
        else:
            self._changed.update(changed)
            self.decided.append((undecided, decision))

    monkeypatch.setattr(Batch, "decide", forgetful)
    assert first_failure().findings


def test_a_recovery_that_does_not_read_the_homes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    load = Committer._load  # noqa: SLF001  # broken on purpose
    kept: dict[tuple[str, ...], dict[Ref, Aggregate | None]] = {}

    async def once(
        self: Committer, waiting: Iterable[Undecided], session: Any
    ) -> dict[Ref, Aggregate | None]:
        messages = tuple(undecided.message.id for undecided in waiting)
        if messages not in kept:
            kept[messages] = await load(self, waiting, session)
        return kept[messages]

    monkeypatch.setattr(Committer, "_load", once)
    assert first_failure().findings


HANDLE: Final = Consumer._handle  # noqa: SLF001  # broken on purpose


def _acknowledge_at_once(self: Consumer, delivery: Delivery) -> None:
    HANDLE(self, delivery)
    self._window.settle(delivery.tag)
    asyncio.get_running_loop().call_soon(lambda: self._spawn(self._flush()))


def test_a_delivery_acknowledged_before_it_is_committed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Consumer, "_handle", _acknowledge_at_once)
    monkeypatch.setattr(Consumer, "_settle", lambda *_: None)
    assert "was acknowledged, but" in first_failure().findings[0]


def test_a_command_carried_out_after_its_caller_was_told_that_it_was_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(commit, "_check_callers", lambda _: None)
    monkeypatch.setattr(intake, "COMMAND_PATIENCE_SECONDS", 0.05)
    assert any("was answered 503, and carried out" in each for each in first_failure().findings)


def test_a_lost_event_taken_for_a_published_one(monkeypatch: pytest.MonkeyPatch) -> None:
    on_sent = Outbox._on_sent  # noqa: SLF001  # broken on purpose

    def hopeful(self: Outbox, event: OutboxEvent, outcome: Outcome) -> None:
        on_sent(self, event, Outcome.CONFIRMED if outcome is Outcome.LOST else outcome)

    monkeypatch.setattr(Outbox, "_on_sent", hopeful)
    assert first_failure(Fault.CUT_BEFORE).findings


def test_a_time_that_whoever_asks_takes_along(monkeypatch: pytest.MonkeyPatch) -> None:
    def taken(payment: Payment, now: datetime, until: datetime) -> tuple[Payment, Sequence[AskAgain]]:
        after, asks = leased(payment, now, until)
        due = {ask.request_id for ask in asks}
        refunds = tuple(
            structs.replace(refund, ask_at=None) if refund.request_id in due else refund
            for refund in after.refunds
        )
        return structs.replace(after, refunds=refunds, ask_at=None), asks

    monkeypatch.setattr(replica, "ASKING", ASKING._replace(leased=taken))
    monkeypatch.setattr(gateway, "REFUSES", 1.0)
    assert "there is still no rest" in first_failure().findings[0]


def test_what_fails_is_told_by_its_shortest_history(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Consumer, "_handle", _acknowledge_at_once)
    monkeypatch.setattr(Consumer, "_settle", lambda *_: None)
    shortest = shrink(Run("broken.0", ORDERS))
    assert "was acknowledged, but" in shortest.findings[0]
    assert not shortest.fired  # it needs no fault
    assert shortest.run.unplaced == frozenset(range(ORDERS))  # and no order: the first product is enough
    assert len(shortest.history) < 100
