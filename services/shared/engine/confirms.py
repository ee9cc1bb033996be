"""Publishing many messages at once, each with its own confirm.

All messages of a batch go out in one write, and nothing is waited for: what became of each is told as the
broker says it. The channel's own bookkeeping of confirms and returns is used, one object per message standing
where the client library puts a future; a channel that closes tells what was still open that it is lost.
"""

import asyncio
from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Generic, NamedTuple, TypeVar, cast

from aiormq import Channel
from aiormq.exceptions import PublishError

from services.shared.engine.writing import write

Item = TypeVar("Item")


class Outcome(StrEnum):
    CONFIRMED = "confirmed"
    # It has no queue to go to: its consumer's binding is missing.
    RETURNED = "no queue"
    REFUSED = "refused by its queue"
    LOST = "connection lost"
    UNSENDABLE = "cannot be encoded"

    @property
    def is_refusal(self) -> bool:
        """Trying again at once is of no use."""
        return self in {Outcome.RETURNED, Outcome.REFUSED, Outcome.UNSENDABLE}


Sent = Callable[[Item, Outcome], None]


class Outgoing(NamedTuple, Generic[Item]):
    item: Item
    message_id: str
    # All frames of the message.
    frames: bytes


class ConfirmedChannel(Generic[Item]):
    """A channel in confirm mode. A message is on it once at a time: returns name nothing but its id."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._open: dict[int, _Confirmation[Item]] = {}
        self._writing = asyncio.Lock()
        channel.closing.add_done_callback(self._on_closed)

    @property
    def number(self) -> int:
        return self._channel.number

    @property
    def largest_body(self) -> int:
        """How many bytes of a body go into one frame."""
        return self._channel.max_content_size

    @property
    def is_closed(self) -> bool:
        return self._channel.is_closed

    async def send(self, messages: Iterable[Outgoing[Item]], sent: Sent[Item]) -> None:
        """Puts all on the wire. `sent` is called once for each, when its outcome is known."""
        async with self._writing:
            frames = bytearray()
            for message in messages:
                self._expect(message, sent)
                frames += message.frames
            if self._channel.is_closed:
                self._lose_all()
                return
            try:
                await write(self._channel, bytes(frames))
            except ConnectionError:
                self._lose_all()

    def _expect(self, message: Outgoing[Item], sent: Sent[Item]) -> None:
        channel = self._channel
        channel.delivery_tag += 1
        confirmation = _Confirmation(self._open, channel, message, channel.delivery_tag, sent)
        self._open[channel.delivery_tag] = confirmation
        # It is asked and told what a future is.
        channel.confirmations[channel.delivery_tag] = cast("asyncio.Future[object]", confirmation)
        channel.message_id_delivery_tag[message.message_id] = channel.delivery_tag

    def _on_closed(self, _: object) -> None:
        self._lose_all()

    def _lose_all(self) -> None:
        for confirmation in list(self._open.values()):
            confirmation.settle(Outcome.LOST)


class _Confirmation(Generic[Item]):
    """Stands for a future in the channel's `confirmations`."""

    __slots__ = ("_channel", "_message", "_open", "_sent", "_tag")

    def __init__(
        self,
        open_: "dict[int, _Confirmation[Item]]",
        channel: Channel,
        message: Outgoing[Item],
        tag: int,
        sent: Sent[Item],
    ) -> None:
        self._open, self._channel, self._message, self._tag, self._sent = open_, channel, message, tag, sent

    def settle(self, outcome: Outcome) -> None:
        if self._open.pop(self._tag, None) is None:
            return
        ids = self._channel.message_id_delivery_tag
        if ids.get(self._message.message_id) == self._tag:
            del ids[self._message.message_id]
        self._sent(self._message.item, outcome)

    # --- as aiormq asks a future ------------------------------------------------------------------------

    def done(self) -> bool:
        return self._tag not in self._open

    def cancelled(self) -> bool:
        return self.done()

    def set_result(self, _: object) -> None:
        self.settle(Outcome.CONFIRMED)

    def set_exception(self, error: BaseException) -> None:
        self.settle(Outcome.RETURNED if isinstance(error, PublishError) else Outcome.REFUSED)
