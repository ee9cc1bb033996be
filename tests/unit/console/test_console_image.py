"""What the console's image has is enough: its program starts without what only other images have."""

import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[3]
# Import names of packages, where they are not those of the packages.
NAMES: Final = {
    "pyyaml": "yaml",
    "css-inline": "css_inline",
    "pwdlib": "pwdlib",
    "fastapi-offline": "fastapi_offline",
}
WITHOUT: Final = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {absent}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
import console.main
"""


def absent() -> set[str]:
    """The packages of the other groups."""
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]

    def wanted(name: str) -> Iterator[str]:
        """Also by the groups that a group includes."""
        for each in groups[name]:
            if isinstance(each, str):
                yield each.split("[")[0].split(">")[0].split("=")[0]
            else:
                yield from wanted(each["include-group"])

    def packages(*names: str) -> set[str]:
        return {NAMES.get(each, each.replace("-", "_")) for name in names for each in wanted(name)}

    others = packages(
        "auth", "gateway", "notification", "operator", "order", "sagactl", "stack", "test", "browser"
    )
    return others - packages("console")


def test_the_program_starts_with_what_its_image_has() -> None:
    program = WITHOUT.replace("{absent}", repr(absent()))
    found = subprocess.run(  # noqa: S603  # our own program
        [sys.executable, "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'operator'}"},
    )
    assert found.returncode == 0, found.stderr[-2000:]
    assert {"typer", "rich", "kopf", "kubernetes"} <= absent()
