"""Orders followed live, as a client's library reads the stream."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager

import httpx
from httpx_sse import EventSource, ServerSentEvent, aconnect_sse


@asynccontextmanager
async def follow(
    client: httpx.AsyncClient, url: str, last_id: str | None = None, **headers: str
) -> AsyncIterator[AsyncIterator[ServerSentEvent]]:
    """The events of a stream that began, as they come."""
    given = {**headers, **({"Last-Event-ID": last_id} if last_id else {})}
    async with aconnect_sse(client, "GET", url, headers=given) as source:
        assert source.response.status_code == 200, await source.response.aread()
        async with aclosing(_events(source)) as events:
            yield events


async def _events(source: EventSource) -> AsyncGenerator[ServerSentEvent]:
    """Without what the library makes of a lone `retry`, which is no event to a browser."""
    async with aclosing(source.aiter_sse()) as events:
        async for event in events:
            if event.data:
                yield event
