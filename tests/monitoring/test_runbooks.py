"""Every alert leads to a page, and every command on it is one that there is."""

import re
import shlex
from pathlib import Path
from typing import Final

import pytest

from dev.alert_drill.scenes import SCENES, Scene
from dev.runbooks import RUNBOOKS, commands, lines
from dev.services import REPOSITORY
from tests.charts.rendering import UMBRELLA, render
from tests.command_lines import understood
from tests.monitoring.rules import ALERTS

PAGES: Final = {file.stem: file.read_text() for file in RUNBOOKS.glob("Sagashop*.md")}
HEADINGS: Final = ["Meaning", "Impact", "Diagnosis", "Mitigation", "Afterwards"]
# Only where somebody, or a test, has walked it.
TRIED: Final = "Tried"
PRODUCTION: Final = UMBRELLA / "ci" / "production-values.yaml"
SHORT: Final = {"deploy": "Deployment", "statefulset": "StatefulSet", "sagamonitor": "SagaMonitor"}
VERBS: Final = {
    *("delete", "describe", "exec", "get", "logs", "patch", "rollout", "scale", "top"),
}
KINDS: Final = {
    *("events", "hpa", "networkpolicies", "pods", "pvc", "sagamonitors"),
}
every_page = pytest.mark.parametrize("name", sorted(PAGES))


def there() -> set[str]:
    """Objects of an installation as `shop`, as kind/name."""
    return {f"{each['kind']}/{each['metadata']['name']}" for each in render(UMBRELLA, PRODUCTION)}


def test_every_alert_has_a_page_and_every_page_an_alert() -> None:
    assert set(PAGES) == set(ALERTS)
    assert f"{len(ALERTS)} alerts, each with" in (REPOSITORY / "README.md").read_text()


@every_page
def test_a_page_says_what_it_means_whom_it_hurts_how_to_look_and_what_to_do(name: str) -> None:
    title, *headings = re.findall(r"^#+ (.+)$", PAGES[name], re.MULTILINE)
    assert title == name
    assert headings in (HEADINGS, [*HEADINGS, TRIED])
    assert len(PAGES[name].splitlines()) < 70, "more than a screen"


@every_page
def test_every_command_of_a_page_is_one(name: str) -> None:
    found = list(commands(PAGES[name]))
    assert found
    for program, *arguments in found:
        assert program in {"sagactl", "kubectl"}, program
        (understood if program == "sagactl" else of_kubectl)(arguments)


DOCUMENTS: Final = [*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").glob("*.md")]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.stem)
def test_every_command_understood_in_a_document_is_one(document: Path) -> None:
    for line in re.findall(r"^\s*\$ (?:\.venv/bin/)?sagactl (.+)$", document.read_text(), re.MULTILINE):
        understood(shlex.split(re.split(r" [|>]", line)[0], comments=True))


def of_kubectl(arguments: list[str]) -> None:
    assert arguments[:2] == ["-n", "shop"], arguments
    verb, *rest = arguments[2:]
    assert verb in VERBS, verb
    for kind, thing in re.findall(r"\b(deploy|statefulset)/([\w-]+)", " ".join(rest)):
        assert f"{SHORT[kind]}/{thing}" in there()
    if verb in {"get", "describe"}:
        assert rest[0] in KINDS or rest[:1] == ["pod"], rest
    for server, number in re.findall(r"\b(shop-(?:rabbitmq|mongodb|redis))-(\d)\b", " ".join(rest)):
        assert f"StatefulSet/{server}" in there()
        assert number == "0"
    for label in re.findall(r"app\.kubernetes\.io/name=([\w-]+)", " ".join(rest)):
        assert any(
            each["metadata"]["labels"].get("app.kubernetes.io/name") == label for each in render(UMBRELLA)
        )


def test_the_index_names_all_pages_by_their_urgency() -> None:
    listed = re.findall(
        r"^\| \[(\w+)\]\((\w+)\.md\) \| (\w+) \|", (RUNBOOKS / "README.md").read_text(), re.MULTILINE
    )
    assert all(name == link for name, link, _ in listed)
    assert [severity for _, _, severity in listed] == sorted(severity for _, _, severity in listed)
    assert sorted((name, severity) for name, _, severity in listed) == sorted(
        (name, rule["labels"]["severity"]) for name, rule in ALERTS.items()
    )


def test_the_index_says_of_each_page_when_it_was_tried_or_why_it_was_not() -> None:
    rows = re.findall(r"^\| \[(\w+)\]\(.+\| (.+) \|$", (RUNBOOKS / "README.md").read_text(), re.MULTILINE)
    assert len(rows) == len(PAGES)
    for name, said in rows:
        tried = re.search(r"^## Tried\n\n(\d{4}-\d\d-\d\d), ", PAGES[name], re.MULTILINE)
        assert (said == tried[1]) if tried else said.startswith("no: "), name


def test_what_was_tried_the_drill_tries_again() -> None:
    """A fault may be there whose page has not been walked to its end: the index says so."""
    assert {name for name, page in PAGES.items() if "\n## Tried\n" in page} <= set(SCENES)


@pytest.mark.parametrize("scene", SCENES.values(), ids=SCENES)
def test_what_the_drill_types_is_on_the_page_and_goes_to_whom_the_alert_does(scene: Scene) -> None:
    assert scene.calls == f"{ALERTS[scene.alert]['labels']['severity']}s"
    assert scene.silent <= set(ALERTS)
    typed = [*lines(PAGES[scene.alert])]
    for begins in scene.typed:
        assert any(line.startswith(begins) for line in typed), begins


def test_every_command_of_the_first_page_is_one() -> None:
    page = (RUNBOOKS.parent / "on-call.md").read_text()
    for program, *arguments in commands(page):
        assert program == "sagactl"
        understood(arguments)
    assert set(re.findall(r"`(Sagashop\w+)`", page)) <= set(ALERTS)
