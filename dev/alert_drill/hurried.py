"""Rules and routes in a hurry: minutes become seconds, so that a drill takes minutes instead of hours.

Ranges, `for` and waits shrink alike, and where it is asked for the ages that something may have; other
thresholds, labels and words stay as they are shipped.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

FACTOR: Final = 60
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
# A range in an expression, and what a rule waits.
_RANGE: Final = re.compile(r"\[(\d+)([smhd])\]")
_WAIT: Final = re.compile(r"^(\s*(?:for|keep_firing_for|interval): )(\d+)([smhd])$", re.MULTILINE)
# A gauge of an age, and how many seconds it may be: `max by (namespace) (..._oldest_seconds) > 6 * 3600`.
_AGE: Final = re.compile(r"(_seconds(?:\{[^}]*\})?\)+ > )(?:(\d+) \* )?(\d+)\b")


def hurried(rules: str, *, ages: bool = False) -> str:
    """A rule file. Raises ValueError where a duration is not to be shortened to whole seconds."""
    ranges = _RANGE.sub(lambda found: f"[{_shorter(found[1], found[2])}]", rules)
    waits = _WAIT.sub(lambda found: f"{found[1]}{_shorter(found[2], found[3])}", ranges)
    return _AGE.sub(_younger, waits) if ages else waits


def _younger(found: re.Match[str]) -> str:
    return found[1] + _shorter(str(int(found[2] or 1) * int(found[3])), "s").removesuffix("s")


def _shorter(number: str, unit: str) -> str:
    seconds, rest = divmod(int(number) * _SECONDS[unit], FACTOR)
    if rest or not seconds:
        raise ValueError(f"{number}{unit} is no whole number of seconds when minutes are seconds")
    return f"{seconds}s"


def told_to(url: str, configuration: Mapping[str, Any]) -> dict[str, Any]:
    """Alertmanager's configuration, with every receiver at `url`: its name is the last part of the path."""
    receivers = [
        {"name": each["name"], "webhook_configs": [{"url": f"{url}/{each['name']}", "send_resolved": True}]}
        for each in configuration["receivers"]
    ]
    waits = {"group_wait": "1s", "group_interval": "2s"}
    return {**configuration, "receivers": receivers, "route": {**configuration["route"], **waits}}
