"""A job with orders: each is asked for once, what is said of all of them stops it, the rest goes on."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Final, cast

import pytest

from console import bulk, ordering
from console.bulk import Change, OrderJob, Outcome, Step, Verb
from console.services import Command, Refused, Services
from services.order.model import Status
from services.shared.contract.audit import Actor, By, Kind
from services.shared.contract.codes import Code

LOGIN: Final = ordering.Login("token", By(Actor("eve", Kind.USER), "192.0.2.1"))
NOW: Final = datetime(2026, 1, 1, tzinfo=UTC)
QUICKLY: Final = 1e6


class Kept:
    """A record in memory."""

    def __init__(self, verb: Verb) -> None:
        steps = tuple(Step(f"order-{number}", Status.CONFIRMED) for number in range(3))
        self.job = OrderJob(id="job-1", verb=verb, reason="because", begun_at=NOW, steps=steps)
        self.asked: list[str] = []

    async def add(self, *changes: Change) -> None:
        self.job = self.job.after(changes)

    async def ask(self, detail: str) -> None:
        self.asked.append(detail)

    @property
    def outcomes(self) -> list[Outcome]:
        return [step.outcome for step in self.job.steps]


class Answering:
    def __init__(self, answer: Callable[[str], bytes]) -> None:
        self.answer = answer
        self.asked: list[tuple[str, Command, str, str]] = []

    async def act(self, subject: str, command: Command, token: str, address: str) -> bytes:
        self.asked.append((subject, command, token, address))
        return self.answer(subject)


def carried_out(record: Kept, services: Answering) -> Awaitable[None]:
    asked = cast("Services", cast("Any", services))
    return ordering.carry_out(asked, record, record.ask, LOGIN, QUICKLY)


async def test_each_is_asked_for_with_the_persons_token_and_the_trail_first() -> None:
    record, services = Kept(Verb.REFUND), Answering(lambda _: b"{}")
    await carried_out(record, services)
    assert record.outcomes == [Outcome.DONE] * 3
    assert record.asked == ["orders: 3"]
    assert {each[2:] for each in services.asked} == {("token", "192.0.2.1")}
    assert [each[1].key for each in services.asked] == [record.job.key_of(f"order-{n}") for n in range(3)]
    # Of what is over nothing is asked for.
    await carried_out(record, services)
    assert (record.asked, len(services.asked)) == (["orders: 3"], 3)


async def test_what_the_table_forbids_is_told_and_the_others_are_done() -> None:
    def answer(order: str) -> bytes:
        if order == "order-1":
            raise Refused("it was shipped", Code.STATE_FORBIDS)
        return b"{}"

    record = Kept(Verb.CANCEL)
    await carried_out(record, Answering(answer))
    assert record.outcomes == [Outcome.DONE, Outcome.REFUSED, Outcome.DONE]
    assert record.job.steps[1].why == "it was shipped"


async def test_an_order_that_has_moved_on_is_not_said_to_be_compensated() -> None:
    record = Kept(Verb.COMPENSATE)
    await carried_out(record, Answering(lambda _: b'{"outcome": "notApplicable"}'))
    assert [step.why for step in record.job.steps] == [ordering.MOVED_ON] * 3


@pytest.mark.parametrize("code", sorted(ordering.OF_THE_LOGIN | ordering.OF_THE_SERVICE))
async def test_what_is_said_of_every_order_stops_it_and_it_goes_on_where_it_was(code: Code) -> None:
    away = True

    def answer(order: str) -> bytes:
        if away and order == "order-1":
            raise Refused("not now", code)
        return b"{}"

    record, services = Kept(Verb.CANCEL), Answering(answer)
    with pytest.raises(Refused):
        await carried_out(record, services)
    assert record.outcomes == [Outcome.DONE, Outcome.PLANNED, Outcome.PLANNED]
    away = False
    await carried_out(record, services)
    assert record.outcomes == [Outcome.DONE] * 3
    assert [order for order, *_ in services.asked].count("order-0") == 1


def test_every_verb_is_a_command_of_the_table_and_is_on_the_trail() -> None:
    assert {*bulk.ACTIONS} == {*Verb}
