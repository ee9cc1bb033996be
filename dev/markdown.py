"""What commands write into documents: lines between two marks, rows of tables."""

from collections.abc import Sequence


def between(text: str, name: str, lines: Sequence[str]) -> str:
    """The text with these lines between two marks. Raises ValueError where it does not have them."""
    begin, end = f"<!-- {name}:begin -->\n", f"<!-- {name}:end -->"
    head, begun, rest = text.partition(begin)
    _, ended, tail = rest.partition(end)
    if not begun or not ended:
        raise ValueError(f"{begin.strip()} and {end} are wanted, each on a line of its own")
    return "".join([head, begin, *(f"{line}\n" for line in lines), end, tail])


def table(*rows: Sequence[str]) -> list[str]:
    """The first row is the head."""
    head, *others = rows
    return [_row(head), _row(["---"] * len(head)), *map(_row, others)]


def _row(cells: Sequence[str]) -> str:
    return "|" + "|".join(f" {cell} " if cell else " " for cell in cells) + "|"
