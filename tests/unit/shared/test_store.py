"""What of the database's documents can be read."""

import logging

import pytest

from services.shared.database import store
from tests.engine.toy import Toy


def test_what_cannot_be_read_is_left_out_and_told_once_a_minute(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, odd = store.to_document(Toy(id="good")), {"_id": "odd", "version": "two"}
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            assert [toy.id for toy in store.readable(Toy, [odd, good])] == ["good"]
        assert [record.getMessage().partition(":")[0] for record in caplog.records] == [
            "Toy odd cannot be read, and is left out"
        ]
        monkeypatch.setattr(store, "TOLD_EVERY_SECONDS", 0.0)
        store.readable(Toy, [odd])
    assert len(caplog.records) == 2
