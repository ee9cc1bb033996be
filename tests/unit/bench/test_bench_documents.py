"""Documents say what was measured."""

import json

from bench.capacity import MEASURED
from bench.documents import documents


def test_the_documents_say_what_was_measured() -> None:
    """Where this fails: `make docs`."""
    for file, become in documents(json.loads(MEASURED.read_text())).items():
        text = file.read_text()
        assert become(text) == text, file
