"""For tests without servers."""

import pytest


@pytest.fixture(autouse=True, scope="module")
def _few_to_believe(few_to_believe: None) -> None:
    """In each client and process here."""
