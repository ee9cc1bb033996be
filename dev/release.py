"""`make release VERSION=0.2.0`: one version everywhere, and its section of the changelog.

`python -m dev.release version | notes` tells them.
"""

import re
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from itertools import chain
from pathlib import Path
from typing import Final

from dev.contract.files import keep
from dev.helm import ROOT

VERSION: Final = re.compile(r"(\d+)\.(\d+)\.(\d+)(-[0-9A-Za-z.-]+)?")
APP_VERSION: Final = r"^appVersion: (.+)$"
# Whose charts' appVersion is that of somebody else's server.
SERVERS: Final = ("jaeger", "mongodb", "rabbitmq", "redis")
# (files, patterns): what is in a pattern's group is the project's version.
PLACES: Final[Sequence[tuple[str, Sequence[str]]]] = (
    ("pyproject.toml", [r'^version = "(.+)"$']),
    ("uv.lock", [r'^name = "sagashop"\nversion = "(.+)"$']),
    ("services/shared/http/app.py", [r'^VERSION: Final = "(.+)"$']),
    ("charts/*/Chart.yaml", [r"^version: (.+)$", r"^  - \{name: [a-z-]+, version: ([^,}]+)", APP_VERSION]),
    ("docs/events/asyncapi.yaml", [r"^  version: (.+)$"]),
    ("docs/openapi.json", [r'^  "version": "(.+)",$']),
    ("docs/gitops.md", [r"targetRevision: (\S+)", r"ref: \{tag: ([^}]+)\}", r"sagashop/sagactl:(\S+)"]),
    ("Dockerfile", [r"sagashop/order:(\S+)"]),
)
UNRELEASED: Final = "## [Unreleased]\n"


class ReleaseError(ValueError):
    """A version that cannot be released. The text says why."""


def places(root: Path = ROOT) -> Iterator[tuple[Path, re.Pattern[str]]]:
    """Yield (file, pattern) for every place that names the project's version."""
    for files, patterns in PLACES:
        for file in sorted(root.glob(files)):
            for pattern in patterns:
                if not (pattern == APP_VERSION and file.parent.name in SERVERS):
                    yield file, re.compile(pattern, re.MULTILINE)


def versions(root: Path = ROOT) -> dict[str, set[Path]]:
    """Return the files in which each version stands; where all is well it is one."""
    found: dict[str, set[Path]] = {}
    for file, pattern in places(root):
        for version in pattern.findall(file.read_text()):
            found.setdefault(version, set()).add(file.relative_to(root))
    return found


def current(root: Path = ROOT) -> str:
    """The project's version. Raise ReleaseError where there are several."""
    found = versions(root)
    if len(found) != 1:
        raise ReleaseError(f"there are several versions: {', '.join(sorted(found))}")
    return next(iter(found))


def notes(version: str, root: Path = ROOT) -> str:
    """What the changelog says of a version. Raise ReleaseError where it says nothing."""
    text = (root / "CHANGELOG.md").read_text()
    heading = rf"^## \[{re.escape(version)}\][^\n]*\n"
    section = re.search(heading + r"(.*?)(?=^## \[|\Z)", text, re.MULTILINE | re.DOTALL)
    if not section or not section[1].strip():
        raise ReleaseError(f"CHANGELOG.md says nothing of {version}")
    return section[1].strip()


def prepare(version: str, today: date, root: Path = ROOT) -> set[Path]:
    """Write a version everywhere, give it what is unreleased in the changelog, keep its contract of events.
    Return the files.

    Raise ReleaseError for what is no version, is not a later one, or would be an empty release.
    """
    before = current(root)
    if not VERSION.fullmatch(version):
        raise ReleaseError(f"{version} is not a version such as 0.2.0 or 1.0.0-rc.1")
    if not _order(version) > _order(before):
        raise ReleaseError(f"{version} does not come after {before}")
    notes("Unreleased", root)
    written = {root / "CHANGELOG.md"}
    changelog = (root / "CHANGELOG.md").read_text()
    released = f"{UNRELEASED}\n## [{version}] - {today.isoformat()}\n"
    (root / "CHANGELOG.md").write_text(changelog.replace(UNRELEASED, released, 1))
    for file, pattern in places(root):
        text = file.read_text()
        file.write_text(pattern.sub(lambda found: found[0].replace(before, version), text))
        written.add(file)
    return written | {keep(version, root)}


def _order(version: str) -> tuple[int, int, int, bool, Sequence[tuple[bool, int, str]]]:
    """By Semantic Versioning: candidates before their release, by their parts, numbers before texts."""
    found = VERSION.fullmatch(version)
    if not found:
        raise ReleaseError(f"{version} is no version")
    candidate = (found[4] or "").removeprefix("-")
    parts = [
        (not part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in candidate.split(".")
    ]
    return int(found[1]), int(found[2]), int(found[3]), not candidate, parts


def main(arguments: Sequence[str]) -> str:
    match arguments:
        case ["version"]:
            return current()
        case ["notes"]:
            return notes(current())
        case ["prepare", version]:
            files = prepare(version, datetime.now(UTC).date())
            then = (
                f"git add docs/events && git commit -am 'Release {version}'",
                f"git tag --annotate --message {version} v{version}",
                f"git push origin main v{version}     # what .github/workflows/release.yml publishes",
            )
            return "\n".join(chain(sorted(str(file.relative_to(ROOT)) for file in files), ("", *then)))
        case _:
            raise SystemExit("give one of: version, notes, prepare <version>")


if __name__ == "__main__":
    try:
        print(main(sys.argv[1:]))  # noqa: T201 - what the command is for
    except ReleaseError as error:
        raise SystemExit(str(error)) from None
