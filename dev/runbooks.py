"""The pages that alerts lead to, and the commands on them."""

import re
import shlex
from collections.abc import Iterator
from typing import Final

from dev.services import REPOSITORY

RUNBOOKS: Final = REPOSITORY / "docs" / "runbooks"


def page_of(alert: str) -> str:
    return (RUNBOOKS / f"{alert}.md").read_text()


def lines(page: str) -> Iterator[str]:
    """Each command of a page as a shell reads it, in the page's order."""
    for block in re.findall(r"```(?:console|bash)\n(.*?)```", page, re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            yield line.strip().removeprefix("$ ")


def commands(page: str) -> Iterator[list[str]]:
    """Each line that a person would type, up to a comment or a pipe. Raises ValueError for another line."""
    for block in re.findall(r"```console\n(.*?)```", page, re.DOTALL):
        for line in map(str.strip, block.strip().splitlines()):
            if not line.startswith("$ "):
                raise ValueError(f"not a command: {line}")
            yield shlex.split(line.removeprefix("$ ").partition(" | ")[0], comments=True)
