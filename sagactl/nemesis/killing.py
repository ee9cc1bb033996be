"""One pod is killed; the next one when all are ready again, and have been for a while."""

import asyncio
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

from sagactl.faults import ForbiddenError, UnavailableError, WrongError
from sagactl.nemesis.cluster import Cluster, Pod
from sagactl.polling import NotInTimeError, until

LOOK_SECONDS: Final = 1.0
# For a pod of each chart to be ready: longer than an installation may take.
BEGINS_WITHIN: Final = 900.0
RECOVERS_WITHIN: Final = 300.0


class Plan(NamedTuple):
    release: str
    # Whose pods are killed.
    charts: frozenset[str]
    seed: int
    # Seconds of rest before each.
    every: float


def victims(plan: Plan) -> Iterator[tuple[str, float]]:
    """Without end: a chart, each as often as the others, and which of its pods, as a share of all it has."""
    chance = random.Random(plan.seed)  # noqa: S311  # repeatable, not secret
    while True:
        for chart in chance.sample(sorted(plan.charts), len(plan.charts)):
            yield chart, chance.random()


class Nemesis(NamedTuple):
    cluster: Cluster
    plan: Plan
    say: Callable[[str], None]
    # Called at each look, and when what was killed has come back.
    looked: Callable[[], None]
    recovered: Callable[[], None]

    async def kill_for_ever(self) -> None:
        """Raises WrongError where pods are not ready in time, and ForbiddenError."""
        for number, (chart, share) in enumerate(victims(self.plan), 1):
            pods = await self._at_rest()
            there = [pod for pod in pods if pod.chart == chart]
            await self._kill(number, there[int(share * len(there))], len(there))

    async def _at_rest(self) -> Sequence[Pod]:
        """All pods that are ready, once each chart has had one for as long as the plan says."""
        now = asyncio.get_running_loop().time
        began = since = now()
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            pods = await self._ready()
            if missing := self.plan.charts - {pod.chart for pod in pods}:
                since = now()
                if since > began + BEGINS_WITHIN:
                    raise WrongError(f"no pod is ready of: {', '.join(sorted(missing))}")
            elif now() >= since + self.plan.every:
                return pods

    async def _kill(self, number: int, victim: Pod, ready: int) -> None:
        now = asyncio.get_running_loop().time
        began = now()
        self.say(f"{number}: kill {victim.name}")
        try:
            await self.cluster.kill(victim)
        except ForbiddenError:
            raise
        except UnavailableError as error:  # it may have gone meanwhile
            self.say(f"{number}: {error}")
            return
        try:
            await until(
                self._ready,
                lambda pods: (
                    sum(pod.chart == victim.chart and pod.uid != victim.uid for pod in pods) >= ready
                ),
                within=RECOVERS_WITHIN,
                what=f"{ready} of {victim.chart} are ready again",
                every=LOOK_SECONDS,
                told=lambda pods: ", ".join(pod.name for pod in pods) or "none",
            )
        except NotInTimeError as error:
            raise WrongError(str(error)) from error
        self.say(f"{number}: {victim.chart} is ready again after {now() - began:.0f} s")
        self.recovered()

    async def _ready(self) -> Sequence[Pod]:
        """None as long as nobody tells."""
        self.looked()
        try:
            return [pod for pod in await self.cluster.pods(self.plan.release) if pod.ready]
        except ForbiddenError:
            raise
        except UnavailableError as error:
            self.say(str(error))
            return []
