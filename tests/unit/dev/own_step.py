"""The patches that stand in docs/your-own-step.md, for a tree with the service that it makes first."""

import re
from typing import Final

from dev.helm import ROOT

NAME: Final = "loyalty"
PATCH: Final = "".join(
    re.findall(
        r"^```diff\n(.*?)^```$", (ROOT / "docs/your-own-step.md").read_text(), re.MULTILINE | re.DOTALL
    )
)
PATCHED: Final = frozenset(re.findall(r"^\+\+\+ b/(.*)$", PATCH, re.MULTILINE))
