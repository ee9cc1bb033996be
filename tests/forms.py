"""What `sagactl -o json` printed, held against the schema of its kind that is committed."""

import json
from pathlib import Path
from typing import Any, Final

import jsonschema

SCHEMAS: Final = Path(__file__).parents[1] / "docs" / "sagactl"


def document(text: str) -> dict[str, Any]:
    """Raises ValidationError where it is not as its schema says."""
    found: dict[str, Any] = json.loads(text)
    schema = json.loads((SCHEMAS / f"{found['kind']}.schema.json").read_text())
    jsonschema.validate(found, schema)
    return found
