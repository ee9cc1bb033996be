"""Writes each chart's values.schema.json, and the table of values in its README, from its values.yaml.

values.yaml is the one source: `# --` says what a value means, its default says its type, and `# @schema`
says what a default cannot (a minimum, an enumeration; `{"$like": NAME}` one of SHAPES; `{"$crd": FILE}` the
spec that a definition beside it allows, but for what it requires). Values in braces are one value, open to
other keys; those in block style are closed: a misspelt name is refused.

Which variables a service's `env` may set its settings.py says.

    python -m charts.document            writes
    python -m charts.document --check    exits 1 where something would change
"""
# ruff: noqa: INP001 - a script beside what it documents

import importlib
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from dev.services import package_of
from services.shared.settings import Settings

CHARTS = Path(__file__).parent
LIBRARY = CHARTS / "service"
TABLE = re.compile(r"(<!-- values -->\n).*?(<!-- /values -->)", re.DOTALL)
TYPES: dict[type, str] = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
}
_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_IPV4 = r"[0-9]{1,3}(\.[0-9]{1,3}){3}/([12]?[0-9]|3[0-2])"
_IPV6 = "[0-9a-fA-F:.]*:[0-9a-fA-F:.]*/([1-9]?[0-9]|1[01][0-9]|12[0-8])"
# What a text has to look like, by the name that a hint gives it. Where the default is empty, it may be.
SHAPES = {
    "address": r"[A-Za-z0-9._-]+|\[[0-9a-fA-F:.]+\]",
    "addresses": r"[^/@\s]+",
    "cidr": f"{_IPV4}|{_IPV6}",
    "duration": r"([0-9]+(\.[0-9]+)?(ms|s|m|h))+",
    "hostname": rf"(\*\.)?{_LABEL}(\.{_LABEL})*",
    "label of ours": r"(app\.kubernetes\.io|helm\.sh|sagashop\.io)/.*",
    "quantity": r"([0-9]+(\.[0-9]*)?|\.[0-9]+)([numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]+)?",
    "registry": r"[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]+)?(/[a-z0-9._-]+)*",
    "schedule": r"@[a-z]+|\S+( +\S+){4}",
    "tag": "[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}",
    "url": r"https?://\S+",
}
# OpenTelemetry's library reads its variables itself.
OF_TRACING = "^OTEL_[A-Z_]+$"
# What an API server does with a schema beside checking.
_OF_THE_SERVER = {"default", "required"}


@dataclass(frozen=True)
class Value:
    """A value, or a group of them, as values.yaml tells of it."""

    path: tuple[str, ...]
    default: Any
    meaning: str = ""
    hint: dict[str, Any] = field(default_factory=dict)
    children: tuple["Value", ...] | None = None

    def leaves(self) -> Iterator["Value"]:
        if self.children is None:
            yield self
        else:
            for child in self.children:
                yield from child.leaves()

    def schema(self) -> dict[str, Any]:
        hint = _shaped(self.hint, optional=self.default == "")
        if self.children is None:
            described = {"description": self.meaning} if self.meaning else {}
            if "$crd" in hint:
                return {**hint["$crd"], **described}
            kind = {} if "type" in hint or self.default is None else {"type": TYPES[type(self.default)]}
            return {**described, **kind, **hint}
        # What holds for names that are not listed holds for those that are.
        of_all = hint.get("additionalProperties")
        shared = of_all if isinstance(of_all, dict) else {}
        properties = {child.path[-1]: {**child.schema(), **shared} for child in self.children}
        return {"type": "object", "additionalProperties": False, "properties": properties, **hint}


def _shaped(hint: Any, *, optional: bool) -> Any:  # noqa: ANN401 - any JSON
    """Put patterns where a hint names what a text has to look like."""
    match hint:
        case {"$like": name, **more}:
            return {**_shaped(more, optional=optional), "pattern": f"^({SHAPES[name]}){'?' * optional}$"}
        case dict():
            return {key: _shaped(value, optional=optional) for key, value in hint.items()}
        case list():
            return [_shaped(value, optional=optional) for value in hint]
    return hint


def read(file: Path) -> Value:
    text = file.read_text()
    return _defined(_value((), yaml.compose(text), yaml.safe_load(text), text.splitlines()), file.parent)


def _defined(value: Value, chart: Path) -> Value:
    """Replace the name of a definition by the spec that it allows."""
    hint = value.hint
    if "$crd" in hint:
        definition = yaml.safe_load((chart / hint["$crd"]).read_text())
        [version] = definition["spec"]["versions"]
        hint = {"$crd": _closed(version["schema"]["openAPIV3Schema"]["properties"]["spec"])}
    children = value.children and tuple(_defined(child, chart) for child in value.children)
    return Value(value.path, value.default, value.meaning, hint, children)


def _closed(schema: dict[str, Any]) -> dict[str, Any]:
    """Take from a structural schema what JSON schema knows, and nothing that has to be there."""
    kept = {name: schema[name] for name in schema if not name.startswith("x-") and name not in _OF_THE_SERVER}
    if "properties" in schema:
        kept["properties"] = {name: _closed(part) for name, part in schema["properties"].items()}
        kept["additionalProperties"] = False
    return kept


def _value(path: tuple[str, ...], node: yaml.Node | None, default: Any, lines: list[str]) -> Value:  # noqa: ANN401 - any YAML
    if not isinstance(node, yaml.MappingNode):
        return Value(path, {} if node is None else default, children=() if node is None else None)
    children = []
    for key, value in node.value:
        meaning, hint = _comment(key, lines)
        name = (*path, key.value)
        if isinstance(value, yaml.MappingNode) and not value.flow_style:
            group = _value(name, value, default[key.value], lines)
            children.append(Value(name, group.default, meaning, hint, group.children))
        else:
            children.append(Value(name, default[key.value], meaning, hint))
    return Value(path, default, children=tuple(children))


def _comment(key: yaml.Node, lines: list[str]) -> tuple[str, dict[str, Any]]:
    """Find what the comment right above a key says, and what it hints to the schema."""
    line = key.start_mark.line
    above: list[str] = []
    while line and (found := re.fullmatch(rf" {{{key.start_mark.column}}}# ?(.*)", lines[line - 1])):
        above.insert(0, found[1])
        line -= 1
    hints = [text.removeprefix("@schema ") for text in above if text.startswith("@schema ")]
    said = [text for text in above if not text.startswith("@schema ")]
    starts = [number for number, text in enumerate(said) if text.startswith("-- ")]
    meaning = " ".join(said[starts[-1] :]).removeprefix("-- ").strip() if starts else ""
    return meaning, json.loads(hints[0]) if hints else {}


def merge(shared: Value, own: Value, *, own_only: bool = False) -> Value:
    """Lay a service's own values over what all services share; where it says no more, they mean the same."""
    meaning, hint = own.meaning or shared.meaning, {**shared.hint, **own.hint}
    if shared.children is None or own.children is None:
        return Value(own.path, own.default, meaning, hint, own.children)
    below = {child.path[-1]: child for child in shared.children}
    above = {child.path[-1]: child for child in own.children}
    children = [] if own_only else [child for name, child in below.items() if name not in above]
    for name, child in above.items():
        children.append(merge(below[name], child, own_only=own_only) if name in below else child)
    return Value(own.path, own.default, meaning, hint, tuple(children))


def shared_values() -> Value:
    """Find what all services share, under the paths it has in their charts."""
    [exports] = read(LIBRARY / "values.yaml").children or ()
    [defaults] = exports.children or ()
    return _rooted(defaults, len(defaults.path))


def _rooted(value: Value, depth: int) -> Value:
    children = None if value.children is None else tuple(_rooted(child, depth) for child in value.children)
    return Value(value.path[depth:], value.default, value.meaning, value.hint, children)


def is_service(chart: Path) -> bool:
    return "import-values" in (chart / "Chart.yaml").read_text()


def variables(service: str) -> list[str]:
    """Name what a service reads of its environment, by its settings.py."""
    module = importlib.import_module(f"{package_of(service)}.settings")
    [settings] = [
        each
        for each in vars(module).values()
        if isinstance(each, type) and issubclass(each, Settings) and vars(each).get("service") == service
    ]
    return sorted(map(str.upper, settings.model_fields))


def _named(env: dict[str, Any], names: list[str]) -> dict[str, Any]:
    """Close a service's environment: a name that is misspelt it would never miss."""
    value = env["additionalProperties"]
    properties = {**dict.fromkeys(names, value), **env.get("properties", {})}
    return {
        **env,
        "properties": properties,
        "patternProperties": {OF_TRACING: value},
        "additionalProperties": False,
    }


def schema(chart: Path) -> dict[str, Any]:
    values = read(chart / "values.yaml")
    full = merge(shared_values(), values) if is_service(chart) else values
    body = full.schema()
    if is_service(chart):
        body["properties"]["env"] = _named(body["properties"]["env"], variables(chart.name))
    for dependency in yaml.safe_load((chart / "Chart.yaml").read_text()).get("dependencies", ()):
        if (part := body["properties"].get(dependency["name"])) is not None:
            part["additionalProperties"] = True  # its own schema says what is allowed
    own = {
        "enabled": {"type": "boolean", "description": "Whether an umbrella chart installs this one."},
        "global": {"type": "object", "description": "What all charts of a release share."},
        "service": {"type": "object", "description": "The library chart's values."},
    }
    body["properties"] = {**own, **body["properties"]}
    return {"$schema": "http://json-schema.org/draft-07/schema#", "title": f"Values of {chart.name}", **body}


def table(values: Value) -> str:
    rows = ["| value | default | meaning |", "|---|---|---|"]
    for leaf in values.leaves():
        default = json.dumps(leaf.default, ensure_ascii=False).replace("|", "\\|")
        rows.append(f"| `{'.'.join(leaf.path)}` | `{default}` | {leaf.meaning} |")
    return "\n".join(rows)


def documents(chart: Path) -> Iterator[tuple[Path, str]]:
    """Tell what each generated file of a chart should hold."""
    values = shared_values() if chart == LIBRARY else read(chart / "values.yaml")
    if is_service(chart):
        values = merge(shared_values(), values, own_only=True)
    readme = chart / "README.md"
    yield readme, TABLE.sub(lambda found: f"{found[1]}{table(values)}\n{found[2]}", readme.read_text())
    if chart != LIBRARY:
        yield chart / "values.schema.json", json.dumps(schema(chart), indent=2, ensure_ascii=False) + "\n"


def outdated() -> list[tuple[Path, str]]:
    charts = sorted(file.parent for file in CHARTS.glob("*/Chart.yaml"))
    return [
        (file, content)
        for chart in charts
        for file, content in documents(chart)
        if not file.exists() or file.read_text() != content
    ]


def main() -> int:
    stale = outdated()
    for file, content in stale:
        print(file.relative_to(CHARTS.parent))  # noqa: T201 - what the command is for
        if "--check" not in sys.argv:
            file.write_text(content)
    return int(bool(stale) and "--check" in sys.argv)


if __name__ == "__main__":
    sys.exit(main())
