"""A tree with one service more: it is as green as this one, and nobody had to edit another service.

Not in `make test`, for all of it is looked at once more: `make service-test`.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from dev.helm import ROOT
from tests.unit.dev.own_step import NAME, PATCH

TOOLS: Final = Path(sys.executable).parent
# What holds every service, or every chart, to something.
HOUSE: Final = (
    *("test_house.py", "test_documents.py", "test_glossary.py", "test_metrics.py", "test_indexes.py"),
    *("contract", "dev/test_survive_rubbish.py", "sagactl/test_broker_rights.py", "test_http_fuzz.py"),
    *("sagactl/test_pseudonyms.py", "shared/test_decoders.py", "shared/test_wire.py", "dev/test_ports.py"),
    *("dev/test_scaffold.py", "dev/test_supply_chain.py"),
    *("explain/test_golden_orders.py", "simulation"),
)
CHARTS: Final = ("tests/charts", "tests/monitoring")


class Tree:
    def __init__(self, root: Path) -> None:
        self.root = root

    def run(self, *command: str | Path) -> str:
        """What it printed. Fails with all of that where the command does."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
        done = subprocess.run(  # noqa: S603  # our own tools
            command, cwd=self.root, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return done.stdout

    def test(self, *what: str) -> None:
        self.run(TOOLS / "pytest", "-q", "-p", "no:cacheprovider", *what)

    def document(self) -> None:
        """As `make docs` does."""
        (docs,) = re.findall(r"^docs: setup ; @(.*?) ## ", (ROOT / "Makefile").read_text(), re.MULTILINE)
        self.run("sh", "-ec", docs.replace("$(PYTHON_OF)", str(TOOLS / "python")))


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tree]:
    """A copy of this one, committed or not, to which a service was added as `make service` does."""
    if (ROOT / "services" / NAME).exists():
        pytest.skip(f"there is a service {NAME} already")
    copy = Tree(tmp_path_factory.mktemp("scaffolded") / "shop")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],  # noqa: S607
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    for name in filter(None, listed.split("\0")):
        if os.path.lexists(ROOT / name):
            (copy.root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy.root / name, follow_symlinks=False)
    (copy.root / ".venv").symlink_to(TOOLS.parent)
    copy.run("git", "init", "--quiet")
    copy.run(TOOLS / "python", "-m", "dev.scaffold", NAME)
    copy.document()
    yield copy
    shutil.rmtree(copy.root)


def test_it_is_written_as_the_linter_wants_it(tree: Tree) -> None:
    tree.run(TOOLS / "ruff", "check", "-q", ".")
    tree.run(TOOLS / "ruff", "format", "-q", "--check", ".")


def test_its_types_are_right(tree: Tree) -> None:
    tests = (f"tests/unit/{NAME}", f"tests/integration/test_{NAME}.py")
    tree.run(TOOLS / "mypy", f"services/{NAME}", "services/shared/contract", "dev/simulate", *tests)


def test_it_imports_what_a_service_may(tree: Tree) -> None:
    tree.run(TOOLS / "lint-imports")


def test_its_own_rules_hold(tree: Tree) -> None:
    tree.test(f"tests/unit/{NAME}")


def test_what_holds_of_every_service_holds_of_it(tree: Tree) -> None:
    tree.test(*(f"tests/unit/{each}" for each in HOUSE))


def test_what_holds_of_every_chart_holds_of_its_own(tree: Tree) -> None:
    tree.test(*CHARTS)


def test_an_order_is_paid_and_its_event_is_heard_on_real_servers(tree: Tree) -> None:
    tree.test(f"tests/integration/test_{NAME}.py")


# --- with the step that docs/your-own-step.md walks through -----------------------------------------------


@pytest.fixture(scope="module")
def own_step(tree: Tree) -> Tree:
    """The tree, changed as the document says."""
    patch = tree.root.with_suffix(".patch")
    patch.write_text(PATCH)
    tree.run("git", "apply", patch)
    tree.document()
    return tree


def test_the_document_edits_the_order_and_no_other_service(own_step: Tree) -> None:
    patched = own_step.run("git", "apply", "--numstat", "--reverse", own_step.root.with_suffix(".patch"))
    edited = {line.split("/")[1] for line in patched.split() if line.startswith("services/")}
    assert edited == {NAME, "order", "shared"}


def test_what_the_document_has_written_is_as_the_linter_and_the_types_want_it(own_step: Tree) -> None:
    own_step.run(TOOLS / "ruff", "check", "-q", ".")
    own_step.run(TOOLS / "ruff", "format", "-q", "--check", ".")
    own_step.run(TOOLS / "mypy", f"services/{NAME}", "services/order", "tests/unit/order")
    own_step.run(TOOLS / "lint-imports")


def test_the_order_hears_of_the_event_and_all_its_tests_pass(own_step: Tree) -> None:
    own_step.test(f"tests/unit/{NAME}", "tests/unit/order", *(f"tests/unit/{each}" for each in HOUSE))


def test_with_its_points_the_event_is_heard_on_real_servers(own_step: Tree) -> None:
    own_step.test(f"tests/integration/test_{NAME}.py")
