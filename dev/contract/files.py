"""The contract's files: what `make docs` writes, and copies of what was released."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
import yaml

from dev.contract.asyncapi import document, schema_file
from dev.contract.contract import Contract, contract, encoded
from dev.helm import ROOT

FOLDER: Final = Path("docs", "events")
DOCUMENT: Final = "asyncapi.yaml"
RELEASED: Final = FOLDER / "released"
WRITTEN_BY: Final = "# Written by `make docs` from services/shared/contract/events.\n"


class _Dumper(yaml.SafeDumper):
    """Texts of several lines as they are read, and all that is said twice as it is."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002  # whatever it is
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def texts(now: Contract, version: str) -> Mapping[str, str]:
    """Name in the folder -> what is in it. `version` is the project's."""
    described = yaml.dump(
        document(now, version), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110
    )
    schemas = {schema_file(type_): encoded(schema) for type_, schema in now.schemas.items()}
    return {DOCUMENT: WRITTEN_BY + described} | schemas


def write(version: str, root: Path = ROOT) -> None:
    """Writes them, and removes the schema of what is no event any more."""
    folder, found = root / FOLDER, texts(contract(), version)
    folder.mkdir(parents=True, exist_ok=True)
    for stranger in folder.glob(schema_file("*")):
        if stranger.name not in found:
            stranger.unlink()
    for name, text in found.items():
        (folder / name).write_text(text)


def keep(version: str, root: Path = ROOT) -> Path:
    """Keeps today's contract as that of a release. Returns its file."""
    file = root / RELEASED / f"{version}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(encoded(contract()))
    return file


def released(root: Path = ROOT) -> dict[str, Contract]:
    """Version -> contract, of every release that is still to be got on with."""
    return {
        file.stem: msgspec.json.decode(file.read_bytes(), type=Contract)
        for file in sorted((root / RELEASED).glob("*.json"))
    }


def read(name: str, root: Path = ROOT) -> Any:  # noqa: ANN401  # YAML or JSON
    return yaml.safe_load((root / FOLDER / name).read_text())
