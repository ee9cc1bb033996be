"""The pod in which the next version's sagactl looks at this version's orders, made as the documents say."""

import json
import re
import subprocess
from typing import Any

from dev.helm import ROOT


def made(toolbox: Any, image: str) -> Any:
    """`toolbox`: its Deployment. By the jq program of docs/operations.md."""
    text = (ROOT / "docs" / "operations.md").read_text()
    program = re.search(r'jq --arg next "\$NEXT" \'(.+?)\' \|', text, re.DOTALL)
    assert program
    command = ["jq", "--arg", "next", image, program[1]]
    done = subprocess.run(command, input=json.dumps(toolbox), capture_output=True, text=True, check=True)  # noqa: S603  # our own documents
    return json.loads(done.stdout)
