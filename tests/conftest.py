"""For all tests."""

import asyncio

# Without this pytest-asyncio makes a loop to go back to after each of its own, and never closes it.
asyncio.set_event_loop(None)
