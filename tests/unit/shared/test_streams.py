"""How many streams a server has open, and one caller."""

import contextlib

import pytest
from prometheus_client import REGISTRY

from services.shared.contract.codes import Code
from services.shared.http.problems import Problem
from services.shared.http.streams import Streams


def counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0


def test_one_caller_has_a_few_and_the_next_as_many() -> None:
    streams, before = Streams(100, 2), counted("sagashop_streams_refused_total", reason="caller")
    with streams.one_more("ada"), streams.one_more("ada"):
        with pytest.raises(Problem, match="2 streams are open") as refused, streams.one_more("ada"):
            pass
        assert (refused.value.code, refused.value.status_code) == (Code.TOO_MANY_STREAMS, 429)
        assert refused.value.headers == {"Retry-After": "10"}
        with streams.one_more("bob"):
            assert counted("sagashop_streams_open") == 3
    assert counted("sagashop_streams_open") == 0
    assert counted("sagashop_streams_refused_total", reason="caller") == before + 1
    with streams.one_more("ada"):
        pass


def test_all_together_have_half_of_the_servers_connections() -> None:
    streams = Streams(11, 100)
    with contextlib.ExitStack() as several:
        for number in range(5):
            several.enter_context(streams.one_more(f"caller-{number}"))
        with pytest.raises(Problem) as refused, streams.one_more("one more"):
            pass
        assert (refused.value.code, refused.value.status_code) == (Code.OVERLOADED, 503)
    with streams.one_more("one more"):
        pass


def test_a_stream_that_fails_leaves_its_place() -> None:
    streams = Streams(100, 1)
    for _ in range(2):
        with pytest.raises(LookupError), streams.one_more("ada"):
            raise LookupError
