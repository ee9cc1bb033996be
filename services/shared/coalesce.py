"""One round trip for everything that waits for the same kind of answer.

While a round trip is under way, what is asked for meanwhile queues up, and goes together in the next. Four
promises, whatever the round trip does:

- No caller waits forever: every one gets an answer or an error, even when the asking itself is cancelled.
- One caller's item spoils nobody else's: a batch that fails is asked again by halves, until the items at
  fault are alone, and only those fail. An error that says "unavailable" is nobody's fault: it fails its
  batch at once.
- A caller who goes away disturbs nobody, and what no caller waits for any more is not asked for.
- A round trip for one caller runs in that caller's context: its log lines and traces name the request. One
  for several runs in the context that the coalescer was made in, which names none.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterable, Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from itertools import islice
from typing import Generic, TypeAlias, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")
# Answers for the items, one for one. May be called again for some of them: asking twice must do no harm.
Fetch: TypeAlias = Callable[[Sequence[Item]], Awaitable[Sequence[Answer]]]


@dataclass(frozen=True)
class _Wanted(Generic[Item, Answer]):
    item: Item
    # Each with the context that it asked in.
    callers: dict[asyncio.Future[Answer], Context] = field(default_factory=dict)

    @property
    def waits(self) -> bool:
        return not all(caller.done() for caller in self.callers)

    def answer(self, answer: Answer) -> None:
        for caller in self.callers:
            if not caller.done():
                caller.set_result(answer)

    def fail(self, error: Exception) -> None:
        for caller in self.callers:
            if not caller.done():
                caller.set_exception(error)
                caller.exception()  # who asked may go before reading it


class Coalescer(Generic[Item, Answer]):
    """Asks `fetch` for what several callers want, `most_at_once` items at a time, one trip after another.

    `unavailable` is the error of `fetch` that is no item's fault. It is made with a text, too, for those
    whose round trip was broken off. `share`: equal items that wait at the same time are asked for once.
    """

    def __init__(
        self,
        fetch: Fetch[Item, Answer],
        *,
        most_at_once: int,
        unavailable: type[Exception],
        share: bool = False,
    ) -> None:
        self._fetch, self._most, self._unavailable, self._share = fetch, most_at_once, unavailable, share
        self._own_context = copy_context()
        self._queue: dict[Hashable, _Wanted[Item, Answer]] = {}
        self._asking: asyncio.Task[None] | None = None

    async def ask(self, item: Item) -> Answer:
        """The answer for one item. Raises what `fetch` raises for it alone, or `unavailable`."""
        return await self._enqueue(item, copy_context())

    async def ask_all(self, items: Iterable[Item]) -> list[Answer]:
        """The answers for several items, one for one. Raises the error of the first that has one."""
        context = copy_context()
        callers = [self._enqueue(item, context) for item in items]
        try:
            return [await caller for caller in callers]
        finally:
            for caller in callers:
                caller.cancel()

    def _enqueue(self, item: Item, context: Context) -> asyncio.Future[Answer]:
        caller: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        key = item if self._share else caller
        self._queue.setdefault(key, _Wanted(item)).callers[caller] = context
        if self._asking is None:
            self._asking = asyncio.create_task(self._run(), context=self._own_context.copy())
        return caller

    async def _run(self) -> None:
        batch: Sequence[_Wanted[Item, Answer]] = ()
        try:
            while self._queue:
                batch = self._next_batch()
                await self._ask(batch)
        finally:
            # After the last batch nobody is left. Otherwise this was cancelled: nobody may be left to wait.
            self._asking = None
            left = (*batch, *self._queue.values())
            self._queue.clear()
            for wanted in left:
                wanted.fail(self._unavailable("the question was broken off: try again"))

    def _next_batch(self) -> Sequence[_Wanted[Item, Answer]]:
        keys = list(islice(self._queue, self._most))
        return [wanted for wanted in map(self._queue.pop, keys) if wanted.waits]

    async def _ask(self, batch: Sequence[_Wanted[Item, Answer]]) -> None:
        """Answers all of `batch`, by halves where it fails as a whole."""
        parts = [batch] if batch else []
        while parts:
            part = parts.pop()
            try:
                asking = self._fetch_items([wanted.item for wanted in part])
                answers = await asyncio.create_task(asking, context=self._context_of(part))
                answered = list(zip(part, answers, strict=True))
            except self._unavailable as error:
                for wanted in (*part, *(each for other in parts for each in other)):
                    wanted.fail(error)
                return
            except Exception as error:  # noqa: BLE001  # whatever it is, the callers get it
                if len(part) == 1:
                    part[0].fail(error)
                else:
                    middle = len(part) // 2
                    parts += (part[middle:], part[:middle])
            else:
                for wanted, answer in answered:
                    wanted.answer(answer)

    async def _fetch_items(self, items: Sequence[Item]) -> Sequence[Answer]:
        return await self._fetch(items)

    def _context_of(self, part: Sequence[_Wanted[Item, Answer]]) -> Context:
        """That of the only caller who still waits; where there are several, one that is nobody's."""
        waiting = {
            id(context): context
            for wanted in part
            for caller, context in wanted.callers.items()
            if not caller.done()
        }
        return next(iter(waiting.values())) if len(waiting) == 1 else self._own_context.copy()
