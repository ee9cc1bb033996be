"""Every service's folder has the same files, and each of them holds what CONTRIBUTING says."""

import ast
import inspect
import re
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from fastapi import FastAPI

from dev import ports
from dev.given import settings_of
from services.shared.settings import Settings

ROOT = Path(__file__).parents[2]
SERVICES = sorted(
    folder.name
    for folder in (ROOT / "services").iterdir()
    if (folder / "__init__.py").exists() and folder.name != "shared"
)
IN_EVERY_SERVICE = {"__init__.py", "main.py", "settings.py", "api.py", "domain.py"}
# Where databases are asked beside queries.py.
ASK_THEMSELVES = {"order/metrics.py"}
OURS = {"services", "saga_operator", "sagactl", "console"}
# Folder -> the groups of dependencies that its images have beside what all have.
GROUPS = {
    "services": ("auth", "gateway", "mail", "order", "payment"),
    "operator": ("operator",),
    "sagactl": ("sagactl",),
    "console": ("console",),
}


def listed() -> set[str]:
    """The files of CONTRIBUTING's table: `bodies.py` for any service, `order/catalogue.py` for that one."""
    _, text = (ROOT / "CONTRIBUTING.md").read_text().split("## What is in a service's folder\n")
    table = [line.split("|")[1] for line in text.split("\n## ")[0].splitlines() if line.startswith("| `")]
    return {name for names in table for name in re.findall(r"`([^`]+)`", names)}


def modules(service: str) -> Iterator[Path]:
    yield from sorted((ROOT / "services" / service).glob("*.py"))


def classes(module: Path) -> Iterator[type]:
    """Those that the module defines itself."""
    imported = import_module(".".join(module.relative_to(ROOT).with_suffix("").parts))
    for value in vars(imported).values():
        if inspect.isclass(value) and value.__module__ == imported.__name__:
            yield value


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_has_the_files_that_every_service_has(service: str) -> None:
    assert {module.name for module in modules(service)} >= IN_EVERY_SERVICE


@pytest.mark.parametrize("service", SERVICES)
def test_every_other_file_of_a_service_is_on_the_list_of_contributing(service: str) -> None:
    names = {module.name for module in modules(service)} - {"__init__.py"}
    assert {name for name in names if name not in listed() and f"{service}/{name}" not in listed()} == set()


def test_the_list_of_contributing_names_no_file_that_is_nowhere() -> None:
    there = {module.name for service in SERVICES for module in modules(service)}
    there |= {f"{service}/{module.name}" for service in SERVICES for module in modules(service)}
    assert listed() - there == set()


@pytest.mark.parametrize("service", SERVICES)
def test_a_services_app_is_made_of_settings_and_importing_it_makes_none(service: str) -> None:
    main = import_module(f"services.{service}.main")
    (settings,) = inspect.signature(main.make_app).parameters.values()
    assert issubclass(settings.annotation, Settings)
    assert settings.annotation.__module__ == f"services.{service}.settings"
    assert settings.annotation.service == service
    assert [name for name, value in vars(main).items() if isinstance(value, FastAPI | Settings)] == []


def test_the_local_stack_starts_every_service_where_it_listens() -> None:
    listens = {service: settings_of(service).model_fields["port"].default for service in SERVICES}
    assert listens == ports.SERVICES | ports.OPTIONAL


@pytest.mark.parametrize("service", SERVICES)
def test_bodies_alone_say_what_goes_in_and_out(service: str) -> None:
    found = {
        module.name
        for module in modules(service)
        for class_ in classes(module)
        if any(base.__name__ == "BaseModel" for base in class_.__mro__) and not issubclass(class_, Settings)
    }
    assert found <= {"bodies.py"}


@pytest.mark.parametrize("service", SERVICES)
def test_queries_alone_ask_the_database(service: str) -> None:
    found = {
        f"{service}/{module.name}"
        for module in modules(service)
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, ast.Attribute) and node.attr == "collection" and isinstance(node.ctx, ast.Load)
        if ast.unparse(node.value).endswith("store")
    }
    assert found - ASK_THEMSELVES - {f"{service}/queries.py"} == set()


@pytest.mark.parametrize("folder", GROUPS)
def test_every_package_that_is_imported_is_declared(folder: str) -> None:
    """What only comes along with another package may leave with it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = project["dependency-groups"]
    requirements = [
        *project["project"]["dependencies"],
        *(each for g in GROUPS[folder] for each in groups[g] if isinstance(each, str)),
    ]
    declared = {normalized(re.split(r"[\[<>=]", requirement)[0]) for requirement in requirements}
    provider = packages_distributions()
    imported = {
        normalized(provider[name][0])
        for module in (ROOT / folder).rglob("*.py")
        for name in imports(module)
        if name not in sys.stdlib_module_names | OURS
    }
    assert imported - declared == set()


def imports(module: Path) -> Iterator[str]:
    """The packages that a module imports, anywhere in it."""
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.split(".")[0]


def normalized(name: str) -> str:
    return name.lower().replace("_", "-")


# What customers place is theirs, and has no other author.
# Nor does what a payment gateway says by itself, which nobody believes.
NEED_NO_AUTHOR = {"create_order", "_heard"}


@pytest.mark.parametrize("service", SERVICES)
def test_every_command_over_http_says_who_answers_for_it(service: str) -> None:
    """Without `by` it leaves no entry on the audit trail."""
    without = {
        function.name
        for module in modules(service)
        for function in ast.walk(ast.parse(module.read_text()))
        if isinstance(function, ast.AsyncFunctionDef)
        for call in ast.walk(function)
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "engine.execute"
        if "by" not in {keyword.arg for keyword in call.keywords}
    }
    assert without - NEED_NO_AUTHOR == set()


def test_every_file_of_tests_has_a_name_of_its_own() -> None:
    names = Counter(path.name for path in (ROOT / "tests").rglob("test_*.py"))
    # One lane collects several folders: pytest takes the second of a name for the first.
    assert [name for name, count in names.items() if count > 1] == []
