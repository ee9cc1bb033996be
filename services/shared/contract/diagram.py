"""A table as a Mermaid diagram, printed or written between its markers in a Markdown file."""

import argparse
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from services.shared.contract.table import NEW, Cells, ways


class Drawing(NamedTuple):
    """`name` is that of its place in a file; in the `ends` nothing happens by itself any more."""

    name: str
    cells: Cells
    ends: Iterable[StrEnum]

    @property
    def begin(self) -> str:
        return f"<!-- {self.name}-diagram:begin -->"

    @property
    def end(self) -> str:
        return f"<!-- {self.name}-diagram:end -->"

    def draw(self) -> str:
        """Every way from one state to another, with what leads there."""
        lines = [f"    {_node(from_)} --> {to}: {' / '.join(names)}" for (from_, to), names in self._ways()]
        lines += [f"    {end} --> [*]" for end in self.ends]
        return "\n".join(["stateDiagram-v2", *lines])

    def _ways(self) -> Iterable[tuple[tuple[StrEnum, StrEnum], Iterable[str]]]:
        """What leads from where to where, in the order of the table, each once."""
        found = defaultdict[tuple[StrEnum, StrEnum], dict[str, None]](dict)
        for way in ways(self.cells):
            if way.to is not way.from_:
                found[way.from_, way.to][way.event] = None
        return found.items()

    def written_into(self, text: str) -> str:
        """`text` with the diagram between its markers. Raises ValueError where it has none."""
        block = f"```mermaid\n{self.draw()}\n```\n"
        between = re.compile(f"(?<={re.escape(self.begin)}\n).*?(?={re.escape(self.end)})", re.DOTALL)
        result, count = between.subn(lambda _: block, text)
        if count != 1:
            raise ValueError(f"one {self.begin} and one {self.end} are wanted, each on a line of its own")
        return result

    def main(self, arguments: Sequence[str]) -> None:
        """Prints the diagram, or writes it into each FILE of `--write FILE ...`."""
        parser = argparse.ArgumentParser(description=f"The diagram of the {self.name} table.")
        parser.add_argument(
            "--write",
            type=Path,
            nargs="+",
            default=[],
            metavar="FILE",
            help=f"replace what is between {self.begin} and {self.end}",
        )
        files: list[Path] = parser.parse_args(arguments).write
        for file in files:
            try:
                file.write_text(self.written_into(file.read_text()))
            except (OSError, ValueError) as error:
                parser.error(f"{file}: {error}")
        if not files:
            sys.stdout.write(f"{self.draw()}\n")


def _node(state: StrEnum) -> str:
    return "[*]" if state is NEW else str(state)
