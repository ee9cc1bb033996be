"""`make package`: the charts as single files that need nothing beside them, and an index of them.

In the tree a chart's `charts/` holds links; not every tool follows them, and Git on Windows makes none. A
packaged chart has files in their place.
"""

import argparse
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import yaml

from dev.helm import ROOT, RenderingError, run_helm

PACKAGES: Final = ROOT / ".run/charts"
# What people install; all other charts are within the first of them.
PUBLISHED: Final = ("sagashop", "saga-operator")
ICON: Final = "docs/images/icon.svg"


def package(destination: Path, registry: str = "", home: str = "") -> list[Path]:
    """Write each published chart into `destination` and return the files.

    `registry`: where the shop's own images are, for the chart's values. `home`: the project's address;
    without it a chart has no icon. Raises RenderingError.
    """
    destination.mkdir(parents=True, exist_ok=True)
    files = []
    for name in PUBLISHED:
        with tempfile.TemporaryDirectory() as folder:
            chart = _staged(name, Path(folder), registry, home)
            run_helm("package", chart, "--destination", destination)
        files.append(destination / f"{name}-{_metadata(ROOT / 'charts' / name)['version']}.tgz")
    return files


def index(folder: Path, url: str) -> Path:
    """Describe the packages of a folder that is served at `url`, or that are beside the index."""
    run_helm("repo", "index", folder, *(("--url", url) if url else ()))
    return folder / "index.yaml"


def push(files: Iterable[Path], registry: str) -> None:
    """Put packages into an OCI registry (`oci://...`) that `helm registry login` has logged in to."""
    plain = urlsplit(registry).hostname in {"localhost", "127.0.0.1"}  # as docker does
    for file in files:
        run_helm("push", file, registry, *(["--plain-http"] if plain else []))


def _staged(name: str, folder: Path, registry: str, home: str) -> Path:
    """Copy a chart with what its links lead to, the licence, and what is known only now."""
    chart = Path(shutil.copytree(ROOT / "charts" / name, folder / name, symlinks=False))
    shutil.copy(ROOT / "LICENSE", chart)
    if registry:
        # The first in each is that of all our own images.
        values = (chart / "values.yaml").read_text()
        (chart / "values.yaml").write_text(values.replace('registry: ""', f'registry: "{registry}"', 1))
    metadata = _metadata(chart)
    annotations = {"artifacthub.io/images": yaml.safe_dump(list(_images(chart)))}
    metadata["annotations"] = metadata.get("annotations", {}) | annotations
    if home:
        metadata |= {"home": home, "sources": [home], "icon": f"{home}/raw/v{metadata['version']}/{ICON}"}
    (chart / "Chart.yaml").write_text(yaml.safe_dump(metadata, sort_keys=False))
    return chart


def _metadata(chart: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((chart / "Chart.yaml").read_text())
    return found


def _images(chart: Path) -> Iterator[dict[str, str]]:
    """Yield every image that the chart runs as it comes, as Artifact Hub wants to know it."""
    values = chart / "ci/default-values.yaml"
    text = run_helm("template", "shop", chart, *(("--values", values) if values.exists() else ()))
    lines = {line.strip().removeprefix("- ") for line in text.splitlines()}
    images = sorted(line.removeprefix("image: ").strip('"') for line in lines if line.startswith("image: "))
    for image in images:
        yield {"name": image.rpartition("/")[2].partition(":")[0], "image": image}


def main(arguments: Sequence[str] | None = None) -> None:
    """Package, index and, if asked, push."""
    parser = argparse.ArgumentParser(prog="make package", description=package.__doc__)
    parser.add_argument("--registry", default="", help="registry of the shop's own images")
    parser.add_argument("--home", default="", help="URL of the project")
    parser.add_argument(
        "--url", default="", help="URL from which the packages will be served, for index.yaml"
    )
    parser.add_argument("--push", default="", help="OCI registry to which the packages are pushed: oci://...")
    given = parser.parse_args(arguments)
    shutil.rmtree(PACKAGES, ignore_errors=True)
    files = package(PACKAGES, given.registry, given.home)
    for file in (*files, index(PACKAGES, given.url)):
        print(file.relative_to(ROOT))  # noqa: T201 - what the command is for
    if given.push:
        push(files, given.push)


if __name__ == "__main__":
    try:
        main()
    except RenderingError as error:
        raise SystemExit(str(error).strip()) from None
