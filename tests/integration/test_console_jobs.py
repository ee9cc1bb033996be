"""Jobs that are begun at the console, with a real MongoDB: what their pages are told while they go on."""

import asyncio
from datetime import UTC, datetime
from typing import Any, Final, cast

import pytest

from console.bulk import OrderJob, Outcome, Step, Verb
from console.ordering import Login
from console.services import Refused, Services
from console.work import Jobs, Kept
from sagactl.access import Access
from services.order.model import Status
from services.shared.contract.audit import Actor, By, Kind
from services.shared.contract.codes import Code
from services.shared.database.store import Store
from tests.integration.room import PATIENCE, Room

pytestmark = pytest.mark.without_broker
LOGIN: Final = Login("token", By(Actor("eve", Kind.USER), "192.0.2.1"))
JOB: Final = "01a218bf-7f4d-77c0-98de-9be3a58847cd"


class AwayAtFirst:
    """An order service that does not answer the first time; and what the job's page is told at each."""

    def __init__(self) -> None:
        self.jobs: Jobs | None = None
        self.told: list[Kept] = []

    async def act(self, *_: object) -> bytes:
        assert self.jobs is not None
        found = await self.jobs.get(JOB)
        assert found is not None
        self.told.append(found)
        if len(self.told) == 1:
            raise Refused("the order service does not answer", Code.UNAVAILABLE)
        return b"{}"


async def test_a_job_that_goes_on_is_not_said_to_stand_still(room: Room) -> None:
    services, store = AwayAtFirst(), Store(room.mongodb, room.database_name("console"))
    asked = cast("Services", cast("Any", services))
    jobs = services.jobs = Jobs(Access("", "", ""), store, asked, lambda: None)
    steps = tuple(Step(f"order-{number}", Status.PAID) for number in range(2))
    job = OrderJob(id=JOB, verb=Verb.REFUND, reason="because", begun_at=datetime.now(UTC), steps=steps)
    working = asyncio.create_task(jobs.work())
    try:
        await jobs.begin(job, LOGIN)
        await jobs.over(JOB, PATIENCE)
    finally:
        working.cancel()
        await asyncio.wait({working})
    # Before the first order, before it was tried again, and before the second order.
    troubles = [(each.trouble, each.job.steps[0].outcome) for each in services.told]
    assert troubles == [
        ("", Outcome.PLANNED),
        ("the order service does not answer", Outcome.PLANNED),
        ("", Outcome.DONE),
    ]
