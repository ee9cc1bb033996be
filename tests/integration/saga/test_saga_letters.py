"""A dead letter that somebody discarded is kept, with who and why, and can be taken back."""

import getpass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest
from pymongo import AsyncMongoClient
from pymongo.errors import OperationFailure

from sagactl.access import Access
from sagactl.exits import Exit
from sagactl.oncall import broker, discarded
from sagactl.oncall.discarded import COLLECTION, DATABASE, Discarded
from sagactl.oncall.jobs import record
from sagactl.oncall.jobs.job import Job, Selector, Step, Verb
from sagactl.oncall.jobs.working import chosen
from sagactl.polling import until
from sagactl.provision.accounts import provision_mongodb
from sagactl.shop import Json
from services.shared.contract.audit import Actor, Kind
from tests.integration.saga.commands import sagactl, said, told
from tests.integration.saga.growth import profiled
from tests.integration.saga.house import PATIENCE
from tests.integration.saga.shop import Shop, new_id

QUEUE: Final = "payment-events"
DEAD: Final = f"{QUEUE}.dlq"
AGREED: Final = ("--reason", "of another system", "--yes")
NAMES: Final = ("-o", "name")
HEADERS: Final = {
    "x-error": "no such order",
    "x-error-kind": "rejected",
    "x-attempts": 2,
    "x-first-failed-at": "2026-11-26T08:00:00+00:00",
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "x-of-others": "kept as text",
}


def access(shop: Shop) -> Access:
    return Access.of_stack(shop.stack.directory)


async def dead_letter(shop: Shop, content: bytes = b'{"type": "X", "paymentToken": "tok_secret"}') -> str:
    id_ = new_id()
    await shop.publish(DEAD, content, message_id=id_, headers=HEADERS)
    return id_


async def dead(shop: Shop) -> list[str]:
    return [each.id for each in await broker.dead_letters(access(shop).amqp_url, [QUEUE], 1000)]


async def kept(shop: Shop) -> list[Json]:
    return list((await told(shop, "letters", "list", "--discarded", "--queue", QUEUE))["items"])


async def one_kept(shop: Shop, id_: str) -> Json:
    (found,) = [each for each in await kept(shop) if each["id"] == id_]
    return found


async def entries(shop: Shop, id_: str) -> list[tuple[str, str, str]]:
    found = (await told(shop, "audit", "--subject", id_))["items"]
    return [(each["action"], each["outcome"], each["reason"]) for each in found]


async def test_a_discarded_letter_is_kept_with_who_and_why_and_is_a_dead_letter_again(shop: Shop) -> None:
    id_ = await dead_letter(shop)
    command = ("letters", "discard", QUEUE, id_)
    planned = await told(shop, *command, "--dry-run", exits=Exit.NOT_YET)
    assert (planned["allowed"], planned["done"]) == (True, False)
    assert planned["says"] == f"out of {DEAD}, kept for 30 days"
    assert (await sagactl(shop, *command)).exit_code == Exit.USAGE, "it wants a reason"
    assert (await sagactl(shop, *command, "--reason", "why")).exit_code == Exit.USAGE, "nobody can be asked"
    assert (await dead(shop), await kept(shop), await entries(shop, id_)) == ([id_], [], [])

    assert "done     discarded" in await said(shop, *command, *AGREED)
    assert await dead(shop) == []
    found = await one_kept(shop, id_)
    assert (found["kind"], found["reason"], found["attempts"]) == ("rejected", "no such order", 2)
    assert (found["firstFailedAt"], found["trace"]) == (HEADERS["x-first-failed-at"], HEADERS["traceparent"])
    assert '"paymentToken": "***"' in found["body"]
    put = found["discarded"]
    assert (put["by"], put["why"]) == (f"sagactl {getpass.getuser()}", "of another system")
    at, until_ = (datetime.fromisoformat(put[name]) for name in ("at", "until"))
    assert until_ - at == timedelta(days=30)
    shown = await said(shop, "letters", "show", QUEUE, id_, "--discarded")
    assert ("of another system" in shown, "tok_secret" in shown) == (True, False)
    listed = await said(shop, "letters", "list", "--discarded")
    assert ("of another system" in listed, "ago" in listed) == (True, True)
    assert (await said(shop, "letters", "list", "--discarded", "--queue", QUEUE, *NAMES)).split() == [id_]

    command = ("letters", "restore", QUEUE, id_)
    planned = await told(shop, *command, "--dry-run", exits=Exit.NOT_YET)
    assert (planned["says"], planned["done"]) == (f"back into {DEAD}", False)
    assert (await sagactl(shop, *command)).exit_code == Exit.USAGE, "it wants a reason"
    assert await dead(shop) == []
    assert "done     restored" in await said(shop, *command, "--reason", "it was ours", "--yes")
    assert (await dead(shop), await kept(shop)) == ([id_], [])
    assert await entries(shop, id_) == [
        ("letter.deleted", "asked", "of another system"),
        ("letter.restored", "asked", "it was ours"),
    ]
    again = await shop.dead_letter(QUEUE, "tok_secret")
    assert (again.message_id, again.body) == (id_, b'{"type": "X", "paymentToken": "tok_secret"}')
    assert {name: again.headers[name] for name in HEADERS if name != "x-of-others"} == {
        name: value for name, value in HEADERS.items() if name != "x-of-others"
    }
    assert "kept as text" in str(again.headers["x-original-headers"])


async def test_restored_twice_is_as_once(shop: Shop) -> None:
    id_ = await dead_letter(shop)
    await said(shop, "letters", "discard", QUEUE, id_, *AGREED)
    for _ in range(2):
        restored = await told(shop, "letters", "restore", QUEUE, id_, *AGREED)
        assert (restored["done"], await dead(shop), await kept(shop)) == (True, [id_], [])
    assert [action for action, *_ in await entries(shop, id_)] == ["letter.deleted", "letter.restored"]
    await shop.dead_letter(QUEUE, "tok_secret")
    none = await sagactl(shop, "letters", "restore", QUEUE, id_, *AGREED)
    assert (none.exit_code, "sagactl letters list --discarded" in none.stderr) == (Exit.BAD, True)
    none = await sagactl(shop, "letters", "show", QUEUE, id_, "--discarded")
    assert (none.exit_code, "is kept" in none.stderr) == (Exit.BAD, True)


async def test_a_command_that_was_killed_between_the_two_places_loses_nothing(shop: Shop) -> None:
    """While discarding and while restoring: it is in both then."""
    id_ = await dead_letter(shop)
    async with broker.channel(access(shop).amqp_url) as channel:
        (message,) = [each async for each in broker.take(channel, QUEUE, 10)]
        async with discarded.opened(access(shop).mongodb_url) as store:
            await store.put(Discarded.of(QUEUE, message, Actor("eve", Kind.TOOL), "killed then"))
    assert (await dead(shop), [each["id"] for each in await kept(shop)]) == ([id_], [id_])
    await said(shop, "letters", "restore", QUEUE, id_, *AGREED)
    assert (await dead(shop), await kept(shop)) == ([id_], []), "it is there once"
    # The same between the two steps of discarding, which is then done anew, by somebody else.
    async with discarded.opened(access(shop).mongodb_url) as store:
        await store.put(Discarded.of(QUEUE, message, Actor("eve", Kind.TOOL), "killed then"))
    await said(shop, "letters", "discard", QUEUE, id_, *AGREED)
    assert await dead(shop) == []
    assert (await one_kept(shop, id_))["discarded"]["why"] == "of another system"
    await forget(shop, id_)


async def test_what_cannot_be_kept_is_not_discarded(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    id_ = await dead_letter(shop)

    async def refused(*_: object) -> None:
        raise OperationFailure("not authorized on sagactl", 13)

    with monkeypatch.context() as patched:
        patched.setattr(discarded.Kept, "put", refused)
        result = await sagactl(shop, "letters", "discard", QUEUE, id_, *AGREED)
    assert result.exit_code == Exit.NOT_ALLOWED, result.output
    assert await dead(shop) == [id_]
    await shop.dead_letter(QUEUE, "tok_secret")


async def test_a_letter_that_no_document_holds_is_not_discarded_and_it_is_said_what_to_do(
    shop: Shop, tmp_path: Path
) -> None:
    id_ = await dead_letter(shop, b"tok_secret" + bytes(17 * 2**20))
    refused = await told(shop, "letters", "discard", QUEUE, id_, *AGREED, exits=Exit.BAD)
    assert (refused["allowed"], "has 17.0 MiB" in refused["says"]) == (False, True)
    job = ("jobs", "start", "discard", "--queue", QUEUE, "--jobs", str(tmp_path), *AGREED)
    result = await sagactl(shop, *job)
    assert (result.exit_code, f"letter {id_} of {QUEUE} has 17.0 MiB" in result.output) == (Exit.BAD, True)
    assert (await dead(shop), await kept(shop)) == ([id_], [])
    await shop.dead_letter(QUEUE, "tok_secret")


async def test_a_letter_that_is_discarded_again_while_it_is_restored_stays_kept(shop: Shop) -> None:
    """Whoever restores has looked before: what they forget is what they looked at."""
    id_ = await dead_letter(shop)
    await said(shop, "letters", "discard", QUEUE, id_, *AGREED)
    async with discarded.opened(access(shop).mongodb_url) as store:
        (before,) = await store.of(QUEUE, id_)
        await store.put(before)
        await store.forget(before)
        assert [each.message for each in await store.of(QUEUE, id_)] == [id_]
    await forget(shop, id_)


async def test_two_letters_of_one_id_are_both_kept_and_both_taken_back(shop: Shop) -> None:
    id_ = new_id()
    for content in (b"one", b"another"):
        await shop.publish(DEAD, content, message_id=id_, headers=HEADERS)
    await said(shop, "letters", "discard", QUEUE, id_, *AGREED)
    assert sorted(each["body"] for each in await kept(shop)) == ["another", "one"]
    await said(shop, "letters", "restore", QUEUE, id_, *AGREED)
    assert sorted(each.body for each in await shop.take(DEAD, 2)) == [b"another", b"one"]


async def test_whatever_others_wrote_is_kept_and_taken_back(shop: Shop) -> None:
    """Headers that no database takes, numbers that are none, a body that is no text."""
    id_, content = new_id(), bytes(range(256))
    wild = {"x-error": "odd", "x-attempts": "many", "x-depth": {"a": [1, {"b": None}]}, "$set": 2**63 - 1}
    await shop.publish(DEAD, content, message_id=id_, headers=wild)
    (listed,) = (await told(shop, "letters", "list", "--queue", QUEUE))["items"]
    assert (listed["reason"], listed["attempts"]) == ("odd", 0)
    await said(shop, "letters", "discard", QUEUE, id_, *AGREED)
    await said(shop, "letters", "restore", QUEUE, id_, *AGREED)
    (again,) = await shop.take(DEAD)
    assert (again.message_id, again.body, again.headers["x-error"]) == (id_, content, "odd")


async def test_a_letter_that_is_restored_and_redriven_has_its_effect(shop: Shop) -> None:
    lamp = await shop.product(stock=5)
    async with shop.away("payment"):
        order_id = await shop.place({lamp: 1})
        await shop.is_at(order_id, "CONFIRMED")
        (charge,) = await shop.take("STOCK_RESERVED")
        await shop.publish(
            "STOCK_RESERVED.dlq", charge.body, message_id=charge.message_id, headers=charge.headers | HEADERS
        )
    id_ = str(charge.message_id)
    await said(shop, "letters", "discard", "STOCK_RESERVED", id_, *AGREED)
    why = f"discarded by sagactl {getpass.getuser()} at "
    hits = (await told(shop, "find", id_))["items"]
    (hit,) = (each for each in hits if each["what"] == "discarded letter of STOCK_RESERVED")
    assert (hit["id"], hit["why"].startswith(why)) == (id_, True)
    explained = await told(shop, "explain", order_id, exits=Exit.BAD)
    assert explained["because"].startswith(f"ORDER_CONFIRMED was {why}")
    (hop,) = (hop for hop in explained["hops"] if hop["state"] == "discarded")
    assert (hop["queue"], hop["id"]) == ("STOCK_RESERVED", id_)
    planned = await said(shop, "repair", order_id, "--still", "0", exits=Exit.NOT_YET)
    assert "letters restore STOCK_RESERVED" in planned
    assert ("compensate" in planned, "send again" in planned) == (True, False)
    await said(shop, "letters", "restore", "STOCK_RESERVED", id_, *AGREED)
    await said(shop, "letters", "redrive", "STOCK_RESERVED", "--id", id_)
    await shop.settles(order_id, "PAID")


async def test_what_a_job_discards_is_kept_too(shop: Shop, tmp_path: Path) -> None:
    ids = sorted([await dead_letter(shop) for _ in range(3)])
    job = ("jobs", "start", "discard", "--queue", QUEUE, "--jobs", str(tmp_path))
    await told(shop, *job, "--reason", "a flood", "--yes", "--rate", "100")
    found = await kept(shop)
    assert sorted(each["id"] for each in found) == ids
    assert {(each["discarded"]["by"], each["discarded"]["why"]) for each in found} == {
        (f"sagactl {getpass.getuser()}", "a flood")
    }
    for id_ in ids:
        await said(shop, "letters", "restore", QUEUE, id_, *AGREED)
    assert sorted(await dead(shop)) == ids
    await shop.take(DEAD, 3)


async def test_many_are_restored_by_a_job_that_goes_on_where_it_was_killed(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By what was said when they were discarded; the others stay kept."""
    ids = sorted([await dead_letter(shop) for _ in range(4)])
    other = await dead_letter(shop)
    for id_ in ids:
        await said(shop, "letters", "discard", QUEUE, id_, "--reason", "by mistake", "--yes")
    await said(shop, "letters", "discard", QUEUE, other, *AGREED)
    jobs = ("--jobs", str(tmp_path))
    selected = ("jobs", "start", "restore", "--queue", QUEUE, "--text", "by mistake", *jobs)
    agreed = ("--reason", "it was ours", "--yes")
    nothing = await sagactl(shop, "jobs", "start", "restore", *agreed, *jobs)
    assert (nothing.exit_code, "select letters" in nothing.output) == (Exit.USAGE, True)
    planned = await told(shop, *selected, "--dry-run", exits=Exit.NOT_YET)
    assert sorted(step["letter"]["id"] for step in planned["steps"]) == ids
    assert {step["letter"]["discardedFor"] for step in planned["steps"]} == {"by mistake"}
    assert (await dead(shop), len(await kept(shop))) == ([], 5), "it was only planned"
    hour = "1h"
    assert (await told(shop, *selected, "--until", hour, "--dry-run"))["steps"] == []
    since = (*selected, "--since", hour, "--dry-run")
    assert len((await told(shop, *since, exits=Exit.NOT_YET))["steps"]) == 4

    forget_one, killed_at = discarded.Kept.forget, 3

    async def killed(store: discarded.Kept, letter: Discarded) -> None:
        nonlocal killed_at
        killed_at -= 1
        if not killed_at:
            raise OSError("killed between the two places")
        await forget_one(store, letter)

    with monkeypatch.context() as patched:
        patched.setattr(discarded.Kept, "forget", killed)
        result = await sagactl(shop, *selected, *agreed, "--rate", "100")
    assert result.exit_code == Exit.UNREACHED, result.output
    (job,) = (await sagactl(shop, "jobs", "list", *jobs, *NAMES)).stdout.split()
    so_far = [step["outcome"] for step in (await told(shop, "jobs", "show", job, *jobs))["steps"]]
    assert sorted(so_far) == ["planned"] * 2 + ["restored"] * 2
    assert (len(await dead(shop)), len(await kept(shop))) == (3, 3), "one is in both places"

    ended = await told(shop, "jobs", "resume", job, *jobs, "--rate", "100")
    assert {step["outcome"] for step in ended["steps"]} == {"restored"}
    assert sorted(await dead(shop)) == ids, "each is there once"
    assert [each["id"] for each in await kept(shop)] == [other]
    assert ("letter.restored", "asked", "it was ours") in await entries(shop, f"job {job}")
    await forget(shop, other)
    await shop.take(DEAD, 4)


async def test_of_a_letter_that_is_kept_no_more_a_job_says_so(shop: Shop, tmp_path: Path) -> None:
    """It expired between the plan and its turn; one that somebody restored meanwhile is where it belongs."""
    expired, faster = await dead_letter(shop), await dead_letter(shop)
    jobs = ("--jobs", str(tmp_path))
    for id_ in (expired, faster):
        await said(shop, "letters", "discard", QUEUE, id_, *AGREED)
    letters = await chosen(access(shop), Verb.RESTORE, Selector(queues=(QUEUE,)))
    steps = tuple(map(Step, letters))
    at = datetime.now(UTC)
    planned = Job(id="job", verb=Verb.RESTORE, reason="why", begun_at=at, selector=Selector(), steps=steps)
    with record.begun(tmp_path, planned):
        await said(shop, "letters", "restore", QUEUE, faster, *AGREED)
        await forget(shop, expired)
    ended = await told(shop, "jobs", "resume", "job", *jobs, exits=Exit.BAD)
    became = {step["letter"]["id"]: step["outcome"] for step in ended["steps"]}
    assert became == {expired: "gone", faster: "restored"}
    assert f"gone {QUEUE} {expired}" in (await sagactl(shop, "jobs", "show", "job", *jobs)).stdout
    await shop.take(DEAD)


async def test_the_tools_may_keep_and_forget_letters_and_not_for_how_long(shop: Shop) -> None:
    user = shop.stack.checker["mongodbUrl"]
    async with AsyncMongoClient[Json](user) as client:
        stored = client[DATABASE][COLLECTION]
        for forbidden in (
            lambda: stored.create_index([("at", -1)], expireAfterSeconds=0),
            stored.drop,
            lambda: client[DATABASE]["another"].insert_one({"_id": "mine"}),
        ):
            with pytest.raises(OperationFailure, match="not authorized"):
                await forbidden()
    console = shop.stack.credentials.users["console"]
    async with AsyncMongoClient[Json](shop.stack.mongodb.url_of("console", console)) as client:
        await client[DATABASE][COLLECTION].find_one({})
    order = shop.stack.credentials.users["order"]
    async with AsyncMongoClient[Json](shop.stack.mongodb.url_of("order", order)) as client:
        with pytest.raises(OperationFailure, match="not authorized"):
            await client[DATABASE][COLLECTION].find_one({})


async def test_they_are_looked_for_by_indexes(shop: Shop) -> None:
    """Every explanation asks for those of its order, and after an outage thousands may be kept."""
    async with (
        profiled(shop, "sagactl", [DATABASE]) as operations,
        discarded.opened(access(shop).mongodb_url) as letters,
    ):
        await letters.about([new_id(), new_id()])
        await letters.of(QUEUE, new_id())
        await letters.latest(QUEUE, 10)
        await letters.latest(None, 10)
    plans = [each["planSummary"] for each in operations if "planSummary" in each]
    first = [plan.removeprefix("IXSCAN { ").partition(":")[0] for plan in plans]
    assert first == ["correlationId", "queue", "queue", "at"]


async def test_for_how_long_they_are_kept_can_be_changed(shop: Shop) -> None:
    root = shop.stack.mongodb.url
    try:
        await provision_mongodb(root, {}, discarded_days=7)
        id_ = await dead_letter(shop)
        planned = await told(shop, "letters", "discard", QUEUE, id_, "--dry-run", exits=Exit.NOT_YET)
        assert planned["says"] == f"out of {DEAD}, kept for 7 days"
    finally:
        await provision_mongodb(root, {})
    await shop.dead_letter(QUEUE, "tok_secret")


async def forget(shop: Shop, id_: str) -> None:
    """As time does."""
    await shop.mongodb[DATABASE][COLLECTION].delete_many({"message": id_})

    async def gone() -> bool:
        return id_ not in [each["id"] for each in await kept(shop)]

    await until(gone, within=PATIENCE, what="the letter forgotten")
