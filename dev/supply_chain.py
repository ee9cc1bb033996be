"""What the shop is made of, and whether anything is known against it.

`python -m dev.supply_chain advisories | secrets | sbom`: targets of the Makefile, and a part of `make lint`.
"""

import os
import subprocess
import sys
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from dev.chart_lint import uv
from dev.helm import ROOT
from dev.services import KNOWN

# Where `uv audit` looks packages up; a mirror speaks the same protocol.
DATABASE: Final = "https://api.osv.dev/"
FOUND, NOT_ASKED = 1, 2
SBOMS: Final = ROOT / ".run/sbom"


def _groups() -> Mapping[str, Sequence[str]]:
    """Image -> the groups of dependencies that it has beside what all have: one of its own name."""
    there = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    own = {name: (name,) if name in there else () for name in (*KNOWN, "operator")}
    # With what mails are written with, and what Stripe is asked with.
    return {**own, "sagactl": ("sagactl", "mail", "payment")}


IMAGES: Final = _groups()
# By entropy and by name it finds our hashes, examples and test passwords; ruff looks at passwords in Python.
TOO_LOUD: Final = (
    "Base64HighEntropyString",
    "BasicAuthDetector",
    "HexHighEntropyString",
    "IPPublicDetector",
    "KeywordDetector",
)
# Lists of hashes, and of passwords that everybody knows; written from what is looked at.
NOT_LOOKED_AT: Final = (
    *("uv.lock", "go.sum", "common_passwords.txt", "uv.txt", "requirements.txt", "package-lock.json"),
    "openapi.json",
)


def advisories(database: str) -> int:
    """Look all packages of uv.lock up. Return 1 where one has a known fault, 2 where nobody could tell."""
    asked = _run(uv(), "audit", "--frozen", "--preview-features", "audit-command", "--service-url", database)
    if asked.returncode == NOT_ASKED:
        cause = asked.stderr.strip().splitlines()[-1].strip()
        _say(f"{database} cannot be reached, so nothing is known about the packages in uv.lock: {cause}")
    else:
        _say((asked.stdout + asked.stderr).strip())
    return asked.returncode


def tracked() -> list[str]:
    """Every file of the repository in which a key would be out of place."""
    listed = _run("git", "ls-files", "--cached", "--others", "--exclude-standard")
    listed.check_returncode()
    return [name for name in listed.stdout.splitlines() if not name.endswith(NOT_LOOKED_AT)]


def secrets(files: Sequence[str]) -> int:
    """Look for keys and tokens, by their form. Return 1 where there is one."""
    without = ["--no-verify", *(part for name in TOO_LOUD for part in ("--disable-plugin", name))]
    tool = str(Path(sys.executable).with_name("detect-secrets-hook"))
    done = _run(tool, *without, *files)
    if done.returncode:
        _say((done.stdout + done.stderr).strip())
    return done.returncode


def sbom() -> int:
    """Write one document for each image (CycloneDX 1.5): its packages, with the hashes they are held to."""
    SBOMS.mkdir(parents=True, exist_ok=True)
    for image, groups in IMAGES.items():
        file = SBOMS / f"{image}.cdx.json"
        chosen = [part for group in groups for part in ("--group", group)]
        form = ("--format", "cyclonedx1.5", "--preview-features", "sbom-export", "--output-file", str(file))
        done = _run(uv(), "export", "--frozen", "--no-dev", "--quiet", *chosen, *form)
        if done.returncode:
            _say(done.stderr.strip())
            return done.returncode
        _say(os.path.relpath(file, ROOT))
    return 0


def _run(*command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603 - our own tools


def _say(text: str) -> None:
    print(text)  # noqa: T201 - what the command is for


COMMANDS: Final[Mapping[str, Callable[[], int]]] = {
    "advisories": lambda: advisories(os.environ.get("OSV_URL", DATABASE)),
    "secrets": lambda: secrets(tracked()),
    "sbom": sbom,
}


def main(arguments: Sequence[str]) -> int:
    match arguments:
        case [name] if name in COMMANDS:
            return COMMANDS[name]()
        case _:
            raise SystemExit(f"give one of {', '.join(COMMANDS)}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
