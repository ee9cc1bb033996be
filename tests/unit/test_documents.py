"""What the documents say is there, is there: files that they link to, records, settings."""

import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from pydantic_core import PydanticUndefined

from dev.contract import files
from dev.contract.contract import contract
from dev.description import FILE, text
from dev.release import current
from dev.services import ALL, package_of
from services.shared.settings import Settings

ROOT = Path(__file__).parents[2]
IGNORED = {".venv", ".run", ".git", ".hypothesis"}
DOCUMENTS = sorted(
    path.relative_to(ROOT) for path in ROOT.rglob("*.md") if not IGNORED & set(path.relative_to(ROOT).parts)
)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)|<(?:a href|img src|source srcset)=\"([^\"]+)\"")
RECORDS = ROOT / "docs" / "adr"


def links(document: Path) -> Iterator[str]:
    """The files of this repository that a document links to, by their path from its root."""
    for found in LINK.finditer((ROOT / document).read_text()):
        target = found[1] or found[2]
        if not re.match(r"[a-z]+:", target):
            yield target


def headings(document: Path) -> set[str]:
    """The anchors that GitHub gives a document's headings."""
    found = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_every_link_leads_to_a_file_that_is_there(document: Path) -> None:
    broken = []
    for target in links(document):
        path, _, anchor = target.partition("#")
        file = (ROOT / document).parent / path if path else ROOT / document
        if not file.exists() or (anchor and file.suffix == ".md" and anchor not in headings(file)):
            broken.append(target)
    assert broken == []


def test_every_document_is_in_the_index() -> None:
    named = {(ROOT / "docs" / target).resolve() for target in links(Path("docs/README.md"))}
    there = {path.resolve() for path in (ROOT / "docs").glob("*.md")} - {ROOT / "docs" / "README.md"}
    assert there - named == set()


def test_the_api_is_described_as_it_is() -> None:
    """Where this fails: `make docs`."""
    assert (ROOT / FILE).read_text() == text(current())


def test_the_events_are_described_as_they_are() -> None:
    """Where this fails: `make docs`."""
    there = {path.name: path.read_text() for path in (ROOT / files.FOLDER).iterdir() if path.suffix != ""}
    assert there == files.texts(contract(), current())


def test_every_decision_is_in_the_index_with_its_title_status_and_date() -> None:
    row = re.compile(
        r"^\| (\d+) \| \[(.+?)\]\((.+?)\) \| (accepted|superseded).* \| \d{4}-\d\d-\d\d \|$", re.MULTILINE
    )
    listed = row.findall((RECORDS / "README.md").read_text())
    written = []
    for file in sorted(RECORDS.glob("[0-9]*.md")):
        number, _, title = file.read_text().partition("\n")[0].removeprefix("# ").partition(". ")
        over = re.search(r"^Superseded by", file.read_text(), re.MULTILINE)
        written.append((number, title, file.name, "superseded" if over else "accepted"))
    assert listed == written


def test_the_settings_that_are_described_are_there_with_their_defaults() -> None:
    table = (ROOT / "docs" / "settings.md").read_text().partition("## `make up`")[0]
    described = re.findall(r"^\| `([A-Z_]+)` \| `([^`]+)` \|", table, re.MULTILINE)
    defaults = dict(_defaults())
    assert len(described) > 10
    assert {(name, default.lower()) for name, default in described} - set(defaults.items()) == set()


def _defaults() -> Iterator[tuple[str, str]]:
    """Variable -> default as text, of every setting of every service, and of the console."""
    for service in sorted(ALL):
        module = import_module(f"{package_of(service)}.settings")
        (settings,) = (
            each
            for each in vars(module).values()
            if isinstance(each, type) and issubclass(each, Settings) and each.__module__ == module.__name__
        )
        for name, field in settings.model_fields.items():
            if field.default is not PydanticUndefined:
                number = isinstance(field.default, float)
                yield name.upper(), f"{field.default:g}" if number else str(field.default).lower()
