"""The alerts of the chart, as they are written."""

from collections.abc import Iterator
from typing import Any, Final

import yaml

from dev.scraping import rule_files

FILES: Final = rule_files()


def rules() -> Iterator[dict[str, Any]]:
    for file in FILES:
        for group in yaml.safe_load(file.read_text())["groups"]:
            yield from group["rules"]


ALERTS: Final[dict[str, dict[str, Any]]] = {rule["alert"]: rule for rule in rules() if "alert" in rule}
RECORDS: Final = [rule["record"] for rule in rules() if "record" in rule]
