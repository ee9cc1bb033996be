"""The saga's table as a Mermaid diagram: `python -m services.order.diagram [--write README.md]`."""

import argparse
import re
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from services.order.commands import CreateOrder
from services.order.model import Status
from services.order.saga import SAGA, Step

BEGIN: Final = "<!-- saga-diagram:begin -->"
END: Final = "<!-- saga-diagram:end -->"
# Between the markers, whatever is there.
BLOCK: Final = re.compile(f"(?<={BEGIN}\n).*?(?={END})", re.DOTALL)
# Where nothing happens by itself any more, once its compensation is through.
ENDS: Final = (Status.PAID, Status.CANCELLED, Status.REFUNDED)


def diagram() -> str:
    """Every way from one state to another, with what leads there."""
    ways = [f"    [*] --> {Status.PENDING}: {CreateOrder.type}"]
    ways += [f"    {from_} --> {to}: {' / '.join(names)}" for (from_, to), names in _ways().items()]
    ways += [f"    {end} --> [*]" for end in ENDS]
    return "\n".join(["stateDiagram-v2", *ways])


def _ways() -> dict[tuple[Status, Status], dict[str, None]]:
    """What leads from where to where: the keys, in the order of the table, each once."""
    ways = defaultdict[tuple[Status, Status], dict[str, None]](dict)
    for (status, trigger), rows in SAGA.items():
        for row in rows:
            if isinstance(row, Step) and row.to is not status:
                ways[status, row.to][trigger.type] = None
    return ways


def written_into(text: str) -> str:
    """`text` with the diagram between its markers. Raises ValueError where it has none."""
    block = f"```mermaid\n{diagram()}\n```\n"
    result, count = BLOCK.subn(lambda _: block, text)
    if count != 1:
        raise ValueError(f"one {BEGIN} and one {END} are wanted, each on a line of its own")
    return result


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m services.order.diagram", description=__doc__)
    parser.add_argument(
        "--write", type=Path, metavar="FILE", help=f"replace what is between {BEGIN} and {END}"
    )
    file: Path | None = parser.parse_args(arguments).write
    if file is None:
        sys.stdout.write(f"{diagram()}\n")
    else:
        file.write_text(written_into(file.read_text()))


if __name__ == "__main__":
    main(sys.argv[1:])
