"""A service is scaffolded whole or not at all, and under a name that nobody has."""

import re
import shutil
import subprocess
import sys
from itertools import permutations
from pathlib import Path

import pytest
import yaml

from dev.helm import ROOT
from dev.ports import DEFAULTS, SERVICES
from dev.scaffold.entries import ENTRIES, LINKS
from dev.scaffold.naming import FORM, Name, NotANameError, named
from dev.scaffold.planning import Entry, NoPlaceError, Plan, plan
from tests.unit.dev import own_step
from tests.unit.dev.stages import groups

NAME = Name("newcomer", 3999, "0.1.0")


@pytest.mark.parametrize("text", ["", "Loyalty", "loyal-ty", "a", "class", "../order", "points2", "x" * 21])
def test_a_name_is_one_word_of_small_letters(text: str) -> None:
    with pytest.raises(NotANameError, match="give one word of 3 to 20 small letters, such as loyalty"):
        named(text, ROOT)


@pytest.mark.parametrize(
    ("text", "holder"),
    [
        ("order", "a service"),
        ("sagashop", "a chart"),
        ("mongodb", "a chart"),
        ("mailbox", "a part of the stack"),
        ("sagactl", "a part of the stack"),
        ("orders", "a queue"),
        ("lint", "a group of dependencies in pyproject.toml"),
        ("monitoring", "a value of charts/sagashop"),
        ("local", "a database of MongoDB's own"),
        ("default", "a user of Redis"),
        ("range", "Python"),
        ("bench", "a folder of tests"),
    ],
)
def test_a_name_that_somebody_has_is_refused_with_who_has_it(text: str, holder: str) -> None:
    with pytest.raises(NotANameError, match=f"{text} is taken, by {holder}: give another name"):
        named(text, ROOT)


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("ledger", r"tests/unit/shared/test_decoders\.py has a LedgerEntry already"),
        ("engine", r"services/engine/settings\.py has a EngineSettings already"),
        ("part", r"services/shared/contract/events/part\.py has a PART already"),
    ],
)
def test_a_name_of_which_a_module_would_mean_two_things_is_refused(text: str, known: str) -> None:
    with pytest.raises(NotANameError, match=f"{text} is no name for a service: {known}"):
        plan(ROOT, named(text, ROOT), ENTRIES, LINKS)


def test_a_word_that_others_use_for_something_else_is_a_name_all_the_same() -> None:
    """The simulation has SHIPPING of fulfilment, and NOTIFICATIONS."""
    assert plan(ROOT, named("shipping", ROOT), ENTRIES, LINKS).new


def test_a_new_service_has_the_next_port_that_is_nobodys_and_the_shops_version() -> None:
    found = named("newcomer", ROOT)
    assert found.port > max(SERVICES.values())
    assert found.port not in DEFAULTS.values()
    assert f'version = "{found.version}"' in (ROOT / "pyproject.toml").read_text()


def test_every_place_where_services_are_listed_is_found_and_nothing_is_left_to_fill_in() -> None:
    planned = plan(ROOT, NAME, ENTRIES, LINKS)
    assert {entry.file for entry in ENTRIES} == set(planned.changed)
    assert not [path for path in planned.written() if "NAME" in path or path.endswith(".j2")]
    for path, text in {**planned.new, **planned.changed}.items():
        assert not re.search(r"<<[^<\n]*>>|<%|<#", text), path
        assert "newcomer" in path or "newcomer" in text.lower(), path


@pytest.mark.parametrize("names", list(permutations(["another", "newcomer", "zebra"])), ids="-".join)
def test_further_newcomers_find_their_places_in_each_list_too(names: tuple[str, ...]) -> None:
    """Before all others in the order of names, among them, and after."""
    texts = {entry.file: (ROOT / entry.file).read_text() for entry in ENTRIES}
    for number, name in enumerate(names):
        for entry in ENTRIES:
            texts[entry.file] = entry.written(texts[entry.file], Name(name, 3999 + number, "0.1.0"))
    artifacts = yaml.safe_load(texts["skaffold.yaml"])["build"]["artifacts"]
    assert [each["image"] for each in artifacts[-3:]] == [f"sagashop/{name}" for name in names]
    assert f"/build/artifacts/{len(artifacts) - 1}/sync" in texts["skaffold.yaml"]
    assert f'|{"|".join(names)}"}}' in texts["charts/sagashop/rules/messaging.yaml"]


def test_the_longest_name_makes_no_line_too_long(tmp_path: Path) -> None:
    longest = Name("recommendationengine", 3999, "0.1.0")
    assert FORM.fullmatch(longest.name)
    assert not FORM.fullmatch(f"{longest.name}s")
    planned = plan(ROOT, longest, ENTRIES, LINKS)
    planned.carry_out(tmp_path)
    new = [tmp_path / path for path in planned.new if path.endswith(".py")]
    ruff = [str(Path(sys.executable).with_name("ruff")), "check", "--config", str(ROOT / "pyproject.toml")]
    done = subprocess.run([*ruff, "--select", "E501", *new], capture_output=True, text=True, check=False)  # noqa: S603  # ours
    assert done.returncode == 0, done.stdout


def test_every_image_keeps_the_packages_that_it_has() -> None:
    before, after = (ROOT / "Dockerfile").read_text(), plan(ROOT, NAME, ENTRIES, LINKS).changed["Dockerfile"]
    assert groups(after) == {**groups(before), "newcomer": ()}


def test_no_other_service_and_no_file_of_the_order_is_changed() -> None:
    changed = plan(ROOT, NAME, ENTRIES, LINKS).changed
    assert [path for path in changed if path.startswith("services/")] == [
        "services/shared/contract/events/__init__.py"
    ]


def test_a_file_that_is_not_as_expected_is_named_with_what_was_looked_for() -> None:
    lost = Entry("Makefile", r"^nowhere$", lambda found, _: found[0])
    with pytest.raises(NoPlaceError, match=r"Makefile has 0 places .* 1 should be: /\^nowhere\$/"):
        plan(ROOT, NAME, [*ENTRIES, lost], LINKS)


def test_what_is_there_already_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "charts/newcomer").mkdir(parents=True)
    (tmp_path / "charts/newcomer/values.yaml").write_text("mine: true\n")
    with pytest.raises(FileExistsError, match=r"charts/newcomer/values\.yaml: there already"):
        plan(tmp_path, NAME, (), {})


def test_a_plan_is_carried_out_with_its_folders_and_links(tmp_path: Path) -> None:
    Plan({"a/b.txt": "new"}, {"c.txt": "changed"}, {"d/e": "../a"}).carry_out(tmp_path)
    assert (tmp_path / "d/e/b.txt").read_text() == "new"
    assert (tmp_path / "c.txt").read_text() == "changed"


@pytest.mark.skipif((ROOT / "services" / own_step.NAME).exists(), reason="the example is there already")
def test_the_patches_of_the_document_apply_to_what_is_written(tmp_path: Path) -> None:
    """What comes of them is tested where there is time for it: tests/scaffold."""
    planned = plan(ROOT, named(own_step.NAME, ROOT), ENTRIES, LINKS)
    planned.carry_out(tmp_path)
    for path in own_step.PATCHED.difference(planned.written()):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / path, tmp_path / path)
    done = subprocess.run(
        ["git", "apply", "--check", "-"],  # noqa: S607
        cwd=tmp_path, input=own_step.PATCH, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def scaffold(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "dev.scaffold", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603  # ours


def test_a_name_that_is_taken_costs_a_sentence_and_nothing_else() -> None:
    done = scaffold("order")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "order is taken, by a service: give another name\nnothing was written\n"


def test_a_dry_run_says_what_would_be_written_and_writes_nothing() -> None:
    done = scaffold("newcomer", "--dry-run")
    assert (done.returncode, done.stderr) == (0, "")
    assert "new      services/newcomer/domain.py\n" in done.stdout
    assert "changed  skaffold.yaml\n" in done.stdout
    assert not (ROOT / "services/newcomer").exists()
