"""Servers that came back empty: they refuse the service, whose database has lost its indexes."""

from typing import Any
from urllib.parse import urlsplit

import pytest

from services.shared.engine.edition import EDITION
from services.shared.health import Readiness
from tests.engine.lab import SOON, Lab, add, until
from tests.engine.toy import SERVICE, make_engine


def with_another_password(url: str) -> str:
    parts = urlsplit(url)
    place = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"{parts.username}:wrong@{place}").geturl()


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("amqp_url", "the broker refuses this service: "),
        ("mongodb_url", "the database refuses this service: "),
    ],
)
async def test_a_service_that_its_server_refuses_is_not_ready_and_says_why(
    lab: Lab, setting: str, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    settings = lab.settings(direct=True)
    engine = make_engine(settings | {setting: with_another_password(settings[setting])})
    engine.start()

    async def readiness() -> tuple[bool, bool, bool]:
        found: Readiness = await engine.readiness()
        return found.ready, found.detail.startswith(said), said.strip(": ") in caplog.text

    try:
        await until("it says so", readiness, (False, True, True), SOON)
    finally:
        await engine.stop()


async def test_a_database_that_came_back_empty_is_prepared_again(lab: Lab) -> None:
    database = lab.room.database(SERVICE)

    async def prepared() -> dict[str, Any]:
        claimed = await database["engine"].find_one({"_id": "edition"}) or {}
        return {
            "edition": claimed.get("edition"),
            "due": "due_1" in await database["outbox"].index_information(),
        }

    whole = {"edition": EDITION, "due": True}
    async with lab.replica(direct=True) as engine:
        await until("it is prepared", prepared, whole, SOON)
        await database.client.drop_database(database.name)
        await until("it is prepared again", prepared, whole, SOON)
        await add(engine, "afterwards")
        assert await lab.toys() == {"afterwards": 1}
