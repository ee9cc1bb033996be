"""The database is silent, cut or answers too late; a replica dies in the middle; a document is broken."""

import asyncio
import logging
import uuid
from collections import Counter
from collections.abc import Callable
from functools import partial

import pytest

from dev.faults import Proxy
from dev.faults.crashes import CrashPoint
from dev.stack import Stack
from services.shared.contract.decisions import Unavailable
from services.shared.engine import consuming, journal
from services.shared.engine.life import Engine
from services.shared.logs import Lines
from tests.engine.commands import before_next
from tests.engine.lab import SOON, TOLD_WITHIN, Lab, add, all_of, make_lab, named, until
from tests.engine.toy import EFFECTS_QUEUE, QUEUE, SERVICE, Add, pay, release, reserve


async def customer(engine: Engine, subject: str) -> int:
    """Tries again when told to, without an idempotency key. Returns how often."""
    tries = 1
    while True:
        try:
            await engine.execute(Add(subject=subject), id_=str(uuid.uuid4()))
        except Unavailable:
            await asyncio.sleep(1)
            tries += 1
        else:
            return tries


async def test_what_was_answered_unavailable_is_not_carried_out_later(servers: Stack) -> None:
    outage = 14.0

    async def during(name: str, fault: Callable[[Proxy], None]) -> None:
        async with make_lab(servers) as lab, lab.replica() as engine:
            await add(engine, "before")
            fault(lab.database)
            await lab.send(QUEUE, [reserve("message")])
            await asyncio.sleep(0.2)
            subjects = named("customer", 5)
            customers = asyncio.gather(*(customer(engine, subject) for subject in subjects))
            await asyncio.sleep(outage)
            lab.database.heal()
            async with asyncio.timeout(30):
                tries = await customers
            assert min(tries) > 1, "the outage was too short to be told of"
            await asyncio.sleep(3)
            once = dict.fromkeys(["before", "message", *subjects], 1)
            await until(f"all is counted once, {name}", lab.toys, once, SOON)

    await all_of(during("silent", Proxy.silence), during("frozen", Proxy.freeze))


def told(caplog: pytest.LogCaptureFixture) -> dict[str, int]:
    """How many lines each toy has in the log."""
    lines = (line for record in caplog.records if isinstance(record.msg, Lines) for line in record.msg.lines)
    return dict(Counter(line["order_id"] for line in lines))


@pytest.mark.parametrize("answer_alone", [True, False], ids=["the answer is lost", "the commit is lost"])
async def test_a_commit_of_unknown_outcome_ends_as_one(
    lab: Lab, caplog: pytest.LogCaptureFixture, *, answer_alone: bool
) -> None:
    """Messages are asked about, or decided again. A command may have had its effect and be told of none."""
    caplog.set_level(logging.INFO, journal.__name__)
    lose: Callable[[], None] = lambda: lab.database.silence("down" if answer_alone else "both")  # noqa: E731
    async with lab.spy() as spy, lab.replica() as engine:
        before_next("commitTransaction", lose)
        await lab.send(QUEUE, map(reserve, named("message", 20)))
        await asyncio.sleep(1)
        lab.database.heal()
        once = dict.fromkeys(named("message", 20), 1)
        await until("all messages are counted, once", lab.toys, once, SOON)
        await until("all events are published", spy.distinct, 20, SOON)
        await until("each is a line of the log, once", lambda: told(caplog), once, SOON)
        before_next("commitTransaction", lose)
        commands = asyncio.gather(*(add(engine, "command") for _ in range(5)), return_exceptions=True)
        await asyncio.sleep(1)
        lab.database.heal()
        async with asyncio.timeout(SOON):
            answers = await commands
        done = sum(not isinstance(answer, Unavailable) for answer in answers)
        count = (await lab.toys()).get("command", 0)
        assert done <= count <= len(answers)
        await until("all events are published", lambda: spy.about("command"), count, SOON)
        await until("the outbox is empty", lab.rows, 0, SOON)
        await until("all is acknowledged", lab.unacknowledged, 0, TOLD_WITHIN)


async def test_a_database_that_is_cut_again_and_again_under_load_loses_and_doubles_nothing(lab: Lab) -> None:
    async with lab.spy() as spy, lab.replica():
        messages = named("message", 400)
        sending = asyncio.create_task(lab.send(QUEUE, map(reserve, messages)))
        for _ in range(8):
            await asyncio.sleep(0.15)
            lab.database.cut()
        await sending
        await until("all is counted, once", lab.toys, dict.fromkeys(messages, 1), SOON)
        await until("all events are published", spy.distinct, 400, SOON)
        assert spy.heard_of(messages) == 400
        await until("the outbox is empty", lab.rows, 0, SOON)
        await until("all is acknowledged", lab.unacknowledged, 0, TOLD_WITHIN)


@pytest.mark.mode(5)
async def test_where_a_replica_is_killed_another_goes_on(servers: Stack) -> None:
    async def killed(point: CrashPoint) -> None:
        what = f"killed {point}"
        async with make_lab(servers) as lab, lab.spy() as spy:
            await lab.declare()
            await lab.send(QUEUE, map(reserve, named("message", 30)))
            await lab.dies_at(point)
            async with lab.replica() as engine:
                once = dict.fromkeys(named("message", 30), 1)
                await until(f"all is counted, once, {what}", lab.toys, once, SOON)
                await add(engine, "message-0")
                await until(f"all events are published, {what}", spy.distinct, 30 + 1, SOON)
                await until(f"the outbox is empty, {what}", lab.rows, 0, SOON)
                assert await lab.toys() == once | {"message-0": 2}

    await all_of(
        # Its transaction stays open until the server ends it: after 3 s here, and after a minute by default.
        killed(CrashPoint.BEFORE_COMMIT),
        killed(CrashPoint.AFTER_COMMIT),
        killed(CrashPoint.BEFORE_DELETE),
    )


async def test_what_was_copied_for_another_try_and_not_acknowledged_counts_once(servers: Stack) -> None:
    async with make_lab(servers) as lab:
        await lab.declare()
        toys = lab.room.database(SERVICE)["toys"]
        await toys.insert_one({"_id": "broken", "version": 1, "count": "many"})
        await lab.send(QUEUE, [reserve("broken")])
        await lab.dies_at(CrashPoint.AFTER_COPY)
        await toys.delete_one({"_id": "broken"})
        async with lab.replica():
            await until("it is counted", lab.toys, {"broken": 1}, SOON)
            nothing = {"ready": 0, "retry": 0, "dead": 0}
            await until("neither it nor its copy waits", partial(lab.waiting, QUEUE), nothing, SOON)
            await until("all is acknowledged", lab.unacknowledged, 0, TOLD_WITHIN)
            assert await lab.toys() == {"broken": 1}


async def test_a_document_that_cannot_be_read_fails_its_own_messages_alone(lab: Lab) -> None:
    neighbours = named("neighbour", 40)
    await lab.declare()
    await lab.room.database(SERVICE)["toys"].insert_one({"_id": "broken", "version": 1, "count": "many"})
    messages = [reserve("broken") if n == 20 else reserve(neighbours[n]) for n in range(40)]
    payments = [pay("broken") if n == 20 else pay(neighbours[n]) for n in range(40)]
    await lab.send(QUEUE, messages)
    await lab.send(EFFECTS_QUEUE, payments)
    async with lab.replica() as engine:
        others = dict.fromkeys(set(neighbours) - {neighbours[20]}, 1)
        await until("the neighbours are counted", lab.toys, others, SOON)
        await until("the neighbours are paid", lambda: lab.toys("paid"), others, SOON)
        for queue in (QUEUE, EFFECTS_QUEUE):
            one = {"ready": 0, "retry": 1, "dead": 0}
            await until(f"it alone waits, of {queue}", partial(lab.waiting, queue), one, SOON)
        answers = await asyncio.gather(
            *(add(engine, subject) for subject in (neighbours[0], "broken", neighbours[1])),
            return_exceptions=True,
        )
        assert [isinstance(answer, Exception) for answer in answers] == [False, True, False]
        await until("the others are acknowledged", lab.unacknowledged, 0, TOLD_WITHIN)


async def test_what_does_not_fit_a_document_fails_alone(lab: Lab) -> None:
    neighbours = named("neighbour", 20)
    await lab.declare()
    await lab.send(QUEUE, [*map(reserve, neighbours[:10]), release("large", "too large")])
    await lab.send(QUEUE, map(reserve, neighbours[10:]))
    async with lab.replica() as engine:
        await until("the neighbours are counted", lab.toys, dict.fromkeys(neighbours, 1), 2 * SOON)
        one = {"ready": 0, "retry": 1, "dead": 0}
        await until("it alone is tried again later", lab.waiting, one, 2 * SOON)
        assert (await add(engine, "large")).reply == 1


async def test_events_that_fit_one_row_only_each_by_itself_are_published(lab: Lab) -> None:
    padding = "x" * 2**20
    async with lab.spy() as spy, lab.replica() as engine:
        await asyncio.gather(*(add(engine, subject, events=9, padding=padding) for subject in ("a", "b")))
        await until("all are published", spy.distinct, 18, SOON)
        await until("the outbox is empty", lab.rows, 0, SOON)
        assert await lab.toys() == {"a": 1, "b": 1}


async def test_an_event_that_cannot_be_written_fails_its_own_command_alone(lab: Lab) -> None:
    async with lab.spy() as spy, lab.replica() as engine:
        answers = await asyncio.gather(
            *(
                add(engine, subject, padding="\ud800" if subject == "bad" else "")
                for subject in ("good-0", "bad", "good-1")
            ),
            return_exceptions=True,
        )
        assert [isinstance(answer, Exception) for answer in answers] == [False, True, False]
        assert not isinstance(answers[1], Unavailable)
        await until("the others are published", lambda: sorted(spy.subjects), ["good-0", "good-1"], SOON)
        assert await lab.toys() == {"good-0": 1, "good-1": 1}


async def test_commands_beyond_what_may_wait_are_turned_away_at_once(lab: Lab) -> None:
    async with lab.replica() as engine:
        lab.database.freeze()
        many = [asyncio.create_task(add(engine, f"command-{n}")) for n in range(2500)]

        def some_are_answered() -> bool:
            return any(task.done() for task in many)

        await until("some are turned away", some_are_answered, True, SOON)  # noqa: FBT003
        turned_away = [task for task in many if task.done()]
        assert all(isinstance(task.exception(), Unavailable) for task in turned_away)
        lab.database.heal()
        answers = await asyncio.gather(*many, return_exceptions=True)
        done = {f"command-{n}" for n, answer in enumerate(answers) if not isinstance(answer, Exception)}
        refused = [answer for answer in answers if isinstance(answer, Exception)]
        # On a busy machine some that did wait are told in the end that they waited too long.
        assert done
        assert all(isinstance(answer, Unavailable) for answer in refused), refused
        await until("what was answered is counted, and no more", lab.toys, dict.fromkeys(done, 1), SOON)


async def test_a_replica_without_the_database_leaves_its_messages_to_the_others(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consuming, "WITHOUT_DATABASE_SECONDS", 5.0)
    async with lab.replica(), lab.replica(direct=True):
        await lab.send(QUEUE, map(reserve, named("before", 20)))
        await until("all is counted", lab.toys, dict.fromkeys(named("before", 20), 1), SOON)
        lab.database.silence()
        messages = [*named("before", 20), *named("during", 100)]
        await lab.send(QUEUE, map(reserve, named("during", 100)))
        await until("all is counted by the other", lab.toys, dict.fromkeys(messages, 1), 60)
        lab.database.heal()
