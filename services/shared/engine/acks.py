"""Which deliveries to acknowledge: one `multiple` for all that are done at the front, where possible.

Deliveries settle in any order, one slow card behind which a hundred are done included. An acknowledgement
must never name a tag that is settled already: the broker closes the channel over it.
"""

from typing import Final, NamedTuple

# So many done behind an open one are acknowledged one by one, so that the prefetch window does not fill up.
STRAGGLERS: Final = 32


class Ack(NamedTuple):
    tag: int
    multiple: bool


class AckWindow:
    """The unacknowledged deliveries of one channel, in the order of their tags."""

    def __init__(self, prefetch: int) -> None:
        # Of a small window a few stragglers are a large part.
        self._stragglers = min(STRAGGLERS, prefetch // 4 or 1)
        # In the order of delivery, which is the order of tags.
        self._done: dict[int, bool] = {}
        self._done_count = 0

    def __len__(self) -> int:
        return len(self._done)

    def delivered(self, tag: int) -> None:
        self._done[tag] = False

    def settle(self, tag: int) -> None:
        if not self._done[tag]:
            self._done[tag] = True
            self._done_count += 1

    def take(self) -> list[Ack]:
        """What to acknowledge now. Each tag is covered exactly once over the window's life."""
        acks: list[Ack] = []
        last = None
        while next(iter(self._done.values()), False):
            last = next(iter(self._done))
            del self._done[last]
            self._done_count -= 1
        if last is not None:
            acks.append(Ack(last, multiple=True))
        if self._done_count >= self._stragglers:
            stragglers = [tag for tag, done in self._done.items() if done]
            for tag in stragglers:
                del self._done[tag]
            self._done_count = 0
            acks += [Ack(tag, multiple=False) for tag in stragglers]
        return acks
