"""A run that fails, made short: fewer orders and fewer faults, as long as it still fails."""

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from dev.simulate.running import Result, simulate
from dev.simulate.shop import Run

Item = TypeVar("Item")
# Each is a simulation.
MOST_TRIES: Final = 400
ROUNDS: Final = 5


def shrink(run: Run) -> Result:
    """The shortest that was found, with its history. `run` itself has to fail."""
    return _Search(run).result()


class _Search:
    def __init__(self, run: Run) -> None:
        self._best = simulate(run)
        if not self._best.findings:
            raise ValueError(f"run {run.seed} does not fail")
        self._tries = 0

    def result(self) -> Result:
        for _ in range(ROUNDS):
            before = self._best.run
            self._without_orders()
            self._without_faults()
            if self._best.run == before:
                break
        return simulate(self._best.run, history=True)

    def _without_orders(self) -> None:
        run = self._best.run
        placed = [number for number in range(run.orders) if number not in run.unplaced]
        _fewest(
            placed, lambda left: self._fails(run._replace(unplaced=frozenset(range(run.orders)) - {*left}))
        )

    def _without_faults(self) -> None:
        """Where a fault is left out, others may happen instead: those are left out as well."""
        run, fired = self._best.run, self._best.fired
        _fewest(fired, lambda left: self._fails(run._replace(without=run.without | ({*fired} - {*left}))))

    def _fails(self, run: Run) -> bool:
        if self._tries >= MOST_TRIES:
            return False
        self._tries += 1
        result = simulate(run)
        if result.findings:
            self._best = result
        return bool(result.findings)


def _fewest(items: Sequence[Item], fails: Callable[[Sequence[Item]], bool]) -> None:
    """Leaves out as many as possible: halves first, then quarters, down to single ones."""
    size = max(1, len(items) // 2)
    while items:
        at = 0
        while at < len(items):
            left = [*items[:at], *items[at + size :]]
            if fails(left):
                items = left
            else:
                at += size
        if size == 1:
            return
        size //= 2
