"""What is to be written for a new service: all of it is known before anything is."""

import ast
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from dev.scaffold.naming import Name, NotANameError

TEMPLATE: Final = Path(__file__).parent / "template"
SUFFIX: Final = ".j2"
# In the paths of templates, where the service's name comes.
PLACE: Final = "NAME"
_RUFF: Final = Path(sys.executable).with_name("ruff")
# Neither Python nor Helm begins anything with these.
_JINJA: Final = Environment(
    loader=FileSystemLoader(TEMPLATE),
    autoescape=False,  # noqa: S701  # what is written is code, of names that are letters alone
    keep_trailing_newline=True,
    undefined=StrictUndefined,
    variable_start_string="<<",
    variable_end_string=">>",
    block_start_string="<%",
    block_end_string="%>",
    comment_start_string="<#",
    comment_end_string="#>",
)

Change = Callable[[re.Match[str], Name], str]


class NoPlaceError(RuntimeError):
    """A file is not as the scaffold expects it: the text names it, and what was looked for."""


@dataclass(frozen=True)
class Entry:
    """A place at which services are listed by hand, and what is written there instead.

    `pattern` matches as often as services are listed in the file, `times`; lines begin and end with ^ and $.
    """

    file: str
    pattern: str
    change: Change
    times: int = 1

    def written(self, text: str, name: Name) -> str:
        """Raises NoPlaceError."""
        new, times = re.subn(self.pattern, lambda found: self.change(found, name), text, flags=re.MULTILINE)
        if times != self.times:
            raise NoPlaceError(
                f"{self.file} has {times} places for a service where {self.times} should be: /{self.pattern}/"
            )
        return new


@dataclass(frozen=True)
class Plan:
    """Paths are those from the root. What is new was not there before."""

    new: Mapping[str, str]
    changed: Mapping[str, str]
    links: Mapping[str, str] = field(default_factory=dict)

    def written(self) -> list[str]:
        return sorted({*self.new, *self.changed, *self.links})

    def carry_out(self, root: Path) -> None:
        """Writes all, Python as `make format` does: imports in their order, no line too long."""
        for path, text in {**self.new, **self.changed}.items():
            file = root / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        for path, target in self.links.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).symlink_to(target)
        if python := [path for path in self.written() if path.endswith(".py")]:
            for command in (["check", "--fix", "--select", "I", "--quiet"], ["format", "--quiet"]):
                subprocess.run([_RUFF, *command, *python], cwd=root, check=True)  # noqa: S603  # our own tool


def text_of(template: str, name: Name) -> str:
    """A line or two of a template's language, as it is for this service."""
    return _JINJA.from_string(template).render(name.forms())


def plan(root: Path, name: Name, entries: Iterable[Entry], links: Mapping[str, str]) -> Plan:
    """Raises NoPlaceError; FileExistsError where something new is there already; and NotANameError where a
    module would mean two things by one word.
    """
    new = dict(_files(name))
    linked = {text_of(path, name): text_of(target, name) for path, target in links.items()}
    if there := [path for path in (*new, *linked) if os.path.lexists(root / path)]:
        raise FileExistsError(f"{', '.join(there)}: there already")
    changed = dict[str, str]()
    for entry in entries:
        before = changed.get(entry.file) or (root / entry.file).read_text()
        changed[entry.file] = entry.written(before, name)
    for path, text in {**new, **changed}.items():
        if path.endswith(".py"):
            before = (root / path).read_text() if path in changed else ""
            for word in _bound(text) - _bound(before):
                if _bound(text)[word] > 1:
                    why = f"{path} has a {word} already: give another name"
                    raise NotANameError(f"{name.name} is no name for a service: {why}")
    return Plan(new, changed, linked)


def _bound(module: str) -> Counter[str]:
    """What a module means by which words, and how often it says so."""
    bound = Counter[str]()
    for statement in ast.parse(module).body:
        match statement:
            case ast.Import(names) | ast.ImportFrom(names=names):
                bound.update(alias.asname or alias.name for alias in names)
            case ast.ClassDef(name) | ast.FunctionDef(name) | ast.AsyncFunctionDef(name):
                bound[name] += 1
            case ast.AnnAssign(target=ast.Name(name)) | ast.Assign(targets=[ast.Name(name)]):
                bound[name] += 1
    return bound


def _files(name: Name) -> Iterator[tuple[str, str]]:
    for template in _JINJA.list_templates():
        if template.endswith(SUFFIX):
            path = template.removesuffix(SUFFIX).replace(PLACE, name.name)
            yield path, _JINJA.get_template(template).render(name.forms())
