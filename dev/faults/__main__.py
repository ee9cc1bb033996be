"""`python -m dev.faults --listen 5673 --to 127.0.0.1:5672`, controlled by lines on its input.

    cut | refuse | accept | heal | counts
    silence [up|down] | freeze [up|down]
    trickle BYTES_PER_SECOND [up|down] | delay SECONDS [up|down] | drop_after BYTES [up|down]

It ends when its input ends.
"""

import argparse
import asyncio
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Final, get_args

from dev.faults.proxy import Direction, Proxy

PLAIN: Final[Mapping[str, Callable[[Proxy], None]]] = {
    "cut": Proxy.cut,
    "refuse": Proxy.refuse,
    "accept": Proxy.accept,
    "heal": Proxy.heal,
}
DIRECTED: Final[Mapping[str, Callable[[Proxy, Direction], None]]] = {
    "silence": Proxy.silence,
    "freeze": Proxy.freeze,
}
MEASURED: Final[Mapping[str, Callable[[Proxy, float, Direction], None]]] = {
    "trickle": Proxy.trickle,
    "delay": Proxy.delay,
    "drop_after": lambda proxy, n_bytes, direction: proxy.drop_after(int(n_bytes), direction),
}


def obey(proxy: Proxy, line: str) -> str:
    """Does what the line says and returns the counts. Raises ValueError where it says nothing known."""
    directions: dict[str, Direction] = {each: each for each in get_args(Direction)}
    match line.split():
        case ["counts"]:
            pass
        case [name] if name in PLAIN:
            PLAIN[name](proxy)
        case [name, *rest] if name in DIRECTED and len(rest) <= 1 and set(rest) <= set(directions):
            DIRECTED[name](proxy, directions[rest[0]] if rest else "both")
        case [name, amount, *rest] if name in MEASURED and len(rest) <= 1 and set(rest) <= set(directions):
            MEASURED[name](proxy, float(amount), directions[rest[0]] if rest else "both")
        case _:
            raise ValueError(f"unknown: {line.strip()!r}")
    return " ".join(f"{name}={count}" for name, count in proxy.counts._asdict().items())


async def serve(listen: int, host: str, port: int) -> None:
    lines: asyncio.Queue[str] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def read() -> None:
        line = "first"
        while line:
            line = sys.stdin.readline()  # "" at its end
            loop.call_soon_threadsafe(lines.put_nowait, line)

    async with Proxy(host, port, port=listen) as proxy:
        print(f"127.0.0.1:{proxy.port} -> {host}:{port}", flush=True)  # noqa: T201  # a command's output
        threading.Thread(target=read, daemon=True).start()  # does not hold up the end
        while line := await lines.get():
            try:
                print(obey(proxy, line), flush=True)  # noqa: T201
            except ValueError as error:
                print(error, file=sys.stderr, flush=True)  # noqa: T201


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m dev.faults", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--listen", type=int, default=0, help="port to listen on; without it, a free one")
    parser.add_argument("--to", required=True, metavar="HOST:PORT")
    arguments = parser.parse_args()
    host, _, port = arguments.to.rpartition(":")
    asyncio.run(serve(arguments.listen, host, int(port)))


if __name__ == "__main__":
    main()
