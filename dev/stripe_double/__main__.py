"""The double by itself, to be tried with a shop: `python -m dev.stripe_double 12111`."""

import asyncio
import sys

from dev.interrupts import run
from dev.stripe_double.server import running

# Banks, and customers who are to agree, take so long (seconds) at most.
DECIDED_WITHIN = 5.0


async def main(port: int) -> None:
    async with running(port) as double:
        sys.stdout.write(f"a double of Stripe, which forgets everything when it ends: {double.url}\n")
        sys.stdout.flush()
        while True:
            await asyncio.sleep(DECIDED_WITHIN)
            double.ledger.decide()


if __name__ == "__main__":
    sys.exit(run(main(int(sys.argv[1]))))
