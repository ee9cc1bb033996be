"""What a check of the books leaves behind: a few words of JSON, which fit into a pod's termination message.

The check writes them, the operator reads them of the pod: so a pod that reads every database needs no right
to anything in the cluster.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

# The kubelet cuts off what is longer than 4096 bytes; a character may be four of them.
FIRST_AT_MOST = 600
# They become values of a metric's label.
_INVARIANT = re.compile(r"[A-Z_]{1,32}")
_INVARIANTS_AT_MOST = 16
_NONE = "these are not the last words of a check"
_VERDICTS = frozenset({"holds", "waiting", "broken"})


@dataclass(frozen=True)
class LastWords:
    """How a check ended that came to its end."""

    # `holds`, `waiting` or `broken`.
    verdict: str
    # How many orders were judged.
    orders: int
    # Findings by the invariant's name, of all invariants.
    findings: Mapping[str, int]
    # One of the findings, in a sentence.
    first: str = ""

    def written(self) -> str:
        said = {
            "verdict": self.verdict,
            "orders": self.orders,
            "findings": dict(self.findings),
            "first": self.first[:FIRST_AT_MOST],
        }
        return json.dumps(said, ensure_ascii=False)

    @classmethod
    def read(cls, text: str) -> Self:
        """Raise ValueError for what no check wrote."""
        try:
            found: Any = json.loads(text)
            findings = {str(name): int(number) for name, number in found["findings"].items()}
            words = cls(str(found["verdict"]), int(found["orders"]), findings, str(found["first"]))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{_NONE}: {error!r}") from error
        if not words._can_be:
            raise ValueError(f"{_NONE}: {text[:80]}")
        return words

    @property
    def _can_be(self) -> bool:
        numbers = (self.orders, *self.findings.values())
        return (
            self.verdict in _VERDICTS
            and min(numbers) >= 0
            and len(self.findings) <= _INVARIANTS_AT_MOST
            and all(map(_INVARIANT.fullmatch, self.findings))
        )
