"""Charts as single files: nothing beside them is needed, and nothing gets in front of what is in the tree."""

import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from dev.helm import ROOT, run_helm
from dev.package import PUBLISHED, index, package
from tests.charts.rendering import CHARTS, DEFAULT, SERVICES, UMBRELLA

HOME = "https://example.org/sagashop"
REGISTRY = "registry.example/team"


def rendered(chart: Path) -> str:
    values = ("--values", DEFAULT.with_name("gitops-values.yaml")) if "sagashop" in chart.name else ()
    return run_helm("template", "shop", chart, "--namespace", "market", *values)


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    files = package(tmp_path_factory.mktemp("plain"))
    return dict(zip(PUBLISHED, files, strict=True))


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    files = package(tmp_path_factory.mktemp("released"), REGISTRY, HOME)
    return dict(zip(PUBLISHED, files, strict=True))


def metadata(file: Path, name: str) -> dict[str, Any]:
    with tarfile.open(file) as archive:
        content = archive.extractfile(f"{name}/Chart.yaml")
        assert content
        found: dict[str, Any] = yaml.safe_load(content)
        return found


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_package_renders_what_the_tree_does_without_a_link_in_it(
    packages: dict[str, Path], name: str
) -> None:
    assert rendered(packages[name]) == rendered(CHARTS / name)
    with tarfile.open(packages[name]) as archive:
        assert not [member.name for member in archive if member.issym() or member.islnk()]
        assert f"{name}/LICENSE" in archive.getnames()


@pytest.mark.parametrize("packaged", [False, True], ids=["tree", "package"])
def test_building_dependencies_puts_nothing_in_front_of_what_is_there(
    packages: dict[str, Path], tmp_path: Path, *, packaged: bool
) -> None:
    if packaged:
        shutil.unpack_archive(packages["sagashop"], tmp_path / "charts")
    else:
        shutil.copytree(CHARTS, tmp_path / "charts", symlinks=True)
    chart = tmp_path / "charts/sagashop"
    for command in ("build", "update"):
        run_helm("dependency", command, chart)
    assert not list(chart.rglob("*.tgz"))
    assert rendered(chart) == rendered(UMBRELLA)


def test_no_copy_of_a_chart_lies_in_front_of_what_is_in_the_tree() -> None:
    assert not list(CHARTS.rglob("*.tgz")), "an older helm dependency build left it: delete it"


def test_no_chart_asks_for_another_by_an_address() -> None:
    for file in CHARTS.glob("*/Chart.yaml"):
        for dependency in yaml.safe_load(file.read_text()).get("dependencies", ()):
            assert "repository" not in dependency, file


def test_a_released_chart_says_where_it_comes_from_and_takes_its_images_from_there(
    released: dict[str, Path],
) -> None:
    for name, file in released.items():
        found = metadata(file, name)
        assert (found["home"], found["sources"]) == (HOME, [HOME])
        assert found["icon"] == f"{HOME}/raw/v{found['version']}/docs/images/icon.svg"
        assert (ROOT / "docs/images/icon.svg").exists()
        images = yaml.safe_load(found["annotations"]["artifacthub.io/images"])
        ours = [one["image"] for one in images if "sagashop/" in one["image"]]
        assert len(ours) == {"sagashop": len(SERVICES) + 2, "saga-operator": 1}[name]
        for image in ours:
            assert image.startswith(f"{REGISTRY}/sagashop/")
            assert image.endswith(f":{found['version']}")
            assert f'image: "{image}"' in rendered(file)


@pytest.mark.parametrize("name", PUBLISHED)
def test_what_artifact_hub_is_told_of_kinds_is_what_the_chart_defines(name: str) -> None:
    found = yaml.safe_load((CHARTS / name / "Chart.yaml").read_text())
    [told] = yaml.safe_load(found["annotations"]["artifacthub.io/crds"])
    defined = yaml.safe_load((CHARTS / "saga-operator/files/sagamonitors.yaml").read_text())
    assert told["name"] == defined["metadata"]["name"]
    assert told["kind"] == defined["spec"]["names"]["kind"]
    assert told["version"] in {version["name"] for version in defined["spec"]["versions"]}


def test_the_index_of_a_repository_leads_to_the_packages(packages: dict[str, Path], tmp_path: Path) -> None:
    for file in packages.values():
        shutil.copy(file, tmp_path)
    entries = yaml.safe_load(index(tmp_path, "https://charts.example/shop").read_text())["entries"]
    for name, file in packages.items():
        assert entries[name][0]["urls"] == [f"https://charts.example/shop/{file.name}"]
