"""`sagactl jobs` on the running shop: a job that is killed goes on, each letter is followed to its end."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Final

import pytest

from sagactl.polling import until
from sagactl.shop import Json
from tests.integration.saga.commands import sagactl, told
from tests.integration.saga.house import PATIENCE
from tests.integration.saga.shop import Shop, new_id

QUEUE: Final = "STOCK_RESERVED"
LETTERS: Final = 5


def outcomes(job: Json) -> list[str]:
    return [step["outcome"] for step in job["steps"]]


def headers(reason: str) -> dict[str, str | int]:
    return {"x-error": reason, "x-error-kind": "failed", "x-attempts": 4}


def begun_in(folder: Path) -> list[Path]:
    """The records of jobs that have sent their first letter."""
    return [file for file in folder.glob("*.jsonl") if file.read_bytes().count(b"\n") > 1]


@pytest.mark.parametrize("ended_by", ["kill", "jobs stop"])
async def test_a_job_that_is_ended_goes_on_and_every_letter_comes_to_its_end(
    shop: Shop, tmp_path: Path, ended_by: str
) -> None:
    lamp, why = await shop.product(stock=LETTERS), new_id()
    async with shop.away("payment"):
        orders = [await shop.place({lamp: 1}) for _ in range(LETTERS)]
        for order_id in orders:
            await shop.is_at(order_id, "CONFIRMED")
        for charge in await shop.take(QUEUE, LETTERS):
            await shop.publish(
                f"{QUEUE}.dlq",
                charge.body,
                message_id=charge.message_id,
                headers=charge.headers | headers(why),
            )
    selected = ("jobs", "start", "redrive", "--queue", QUEUE, "--text", why)
    planned = await told(shop, *selected, "--dry-run", exits=3)
    assert outcomes(planned) == ["planned"] * LETTERS
    kept = ("--jobs", str(tmp_path))
    working = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sagactl", *selected, *kept, "--reason", "it is back", "--yes"),
        # So slow that it is not done before it is killed.
        *("--rate", "0.1"),
        env=os.environ | {"STACK_DIR": str(shop.stack.directory)},
    )

    async def begun() -> list[Path]:
        return begun_in(tmp_path)

    try:
        (record,) = await until(begun, within=PATIENCE, what="the first letter sent")
        if ended_by == "jobs stop":
            stopped = await told(shop, "jobs", "stop", record.stem, *kept)
            assert {"planned", "sent"} == set(outcomes(stopped))
            assert await asyncio.wait_for(working.wait(), PATIENCE) == 3
    finally:
        if working.returncode is None:
            working.kill()
        await working.wait()
    assert "no command was working on it" in (await sagactl(shop, "jobs", "stop", record.stem, *kept)).stderr
    so_far = outcomes(await told(shop, "jobs", "show", record.stem, *kept))
    assert {"planned", "sent"} == set(so_far)
    assert (await sagactl(shop, "jobs", "list", *kept, "-o", "name")).stdout.split() == [record.stem]
    ended = await told(shop, "jobs", "resume", record.stem, *kept, "--rate", "100")
    assert outcomes(ended) == ["handled"] * LETTERS
    for order_id in orders:
        await shop.settles(order_id, "PAID")
    entries = (await told(shop, "audit", "--subject", f"job {record.stem}"))["items"]
    assert [each["reason"] for each in entries] == ["it is back"] * 2
    # Nothing is left to be done.
    assert outcomes(await told(shop, "jobs", "resume", record.stem, *kept)) == ["handled"] * LETTERS


async def test_a_letter_that_is_given_up_again_is_said_so_and_can_be_discarded(
    shop: Shop, tmp_path: Path
) -> None:
    letter, why = new_id(), new_id()
    await shop.publish(f"{QUEUE}.dlq", b"nonsense", message_id=letter, headers=headers(why))
    kept = ("--jobs", str(tmp_path))
    selected = ("--queue", QUEUE, "--text", why)
    assert (await sagactl(shop, "jobs", "start", "redrive", *selected, "--yes", *kept)).exit_code == 2
    unselected = await sagactl(shop, "jobs", "start", "redrive", "--reason", "it is back", *kept)
    assert (unselected.exit_code, "select letters" in unselected.output) == (2, True)
    unasked = await sagactl(shop, "jobs", "start", "redrive", *selected, "--reason", "why", *kept)
    assert (unasked.exit_code, "give --yes" in unasked.output) == (2, True)
    agreed = ("--reason", "it is back", "--yes", *kept)
    again = await told(shop, "jobs", "start", "redrive", *selected, *agreed, exits=1)
    ((step),) = again["steps"]
    assert (step["letter"]["id"], step["outcome"]) == (letter, "dead again")
    kind, _, reason = step["why"].partition(": ")
    assert kind == "invalid"
    by_reason = ("--queue", QUEUE, "--kind", kind, "--text", reason)
    gone = await told(shop, "jobs", "start", "discard", *by_reason, *agreed)
    assert (letter, "discarded") in {(each["letter"]["id"], each["outcome"]) for each in gone["steps"]}
    left = (await sagactl(shop, "letters", "list", "--queue", QUEUE, "-o", "name")).stdout.split()
    assert letter not in left
    # One of a job that restores, too, and then it is discarded once more.
    back = await told(shop, "jobs", "start", "restore", *by_reason, *agreed)
    assert (letter, "restored") in {(each["letter"]["id"], each["outcome"]) for each in back["steps"]}
    left = (await sagactl(shop, "letters", "list", "--queue", QUEUE, "-o", "name")).stdout.split()
    assert left.count(letter) == 1
    await told(shop, "jobs", "start", "discard", *by_reason, *agreed)
    # Nothing is chosen any more, and nothing is to be done.
    assert (await told(shop, "jobs", "start", "redrive", *selected, *agreed))["steps"] == []
