"""What is said on the audit trail, and of what nothing is said."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from services.shared.contract import audit
from services.shared.contract.audit import LONGEST, NOBODY, Action, Actor, By, Entry, Kind, Outcome
from services.shared.contract.decisions import Aggregate, Decision, Message, Verdict, audited
from services.shared.database.trail import tell

AT = datetime(2026, 1, 1, tzinfo=UTC)
BOSS = By(Actor("boss", Kind.USER, ("admin",)), "192.0.2.7", "request-1")


class Thing(Aggregate, frozen=True):
    collection = "things"


def command(by: By | None = BOSS) -> Message:
    return Message(id="message-1", source="http", body=None, at=AT, by=by)


def test_an_entry_says_who_did_what_from_where_and_is_as_old_as_the_command() -> None:
    done = Decision(changed=(Thing(id="lamp"),))
    (entry,) = audited(done, command(), Action.RESTOCKED, "lamp", detail="3 pieces").audit
    assert msgspec.to_builtins(entry) == {
        "_id": "message-1",
        "at": "2026-01-01T00:00:00Z",
        "action": "stock.restocked",
        "outcome": "done",
        "actor": {"id": "boss", "kind": "user", "roles": ("admin",)},
        "subject": "lamp",
        "address": "192.0.2.7",
        "requestId": "request-1",
        "reason": None,
        "detail": "3 pieces",
    }


@pytest.mark.parametrize(
    ("decision", "message"),
    [
        (Decision(changed=(Thing(id="lamp"),)), command(by=None)),
        (Decision(), command()),
        (Decision(changed=(Thing(id="lamp"),), verdict=Verdict.DUPLICATE), command()),
    ],
    ids=["what nobody asked for", "what had no effect", "what was done before"],
)
def test_of_some_things_nothing_is_said(decision: Decision, message: Message) -> None:
    assert audited(decision, message, Action.RESTOCKED, "lamp") == decision


WORDS = st.text(st.characters(exclude_categories=("Z", "C"), exclude_characters="@"), min_size=1, max_size=9)


@given(st.lists(WORDS, max_size=5), WORDS, WORDS)
def test_no_address_of_mail_is_left_in_a_reason(words: list[str], local: str, host: str) -> None:
    said = audit.without_mail(" ".join([*words, f"{local}@{host}"]))
    assert said == " ".join([*words, "***"])


@given(st.text(max_size=2 * LONGEST))
def test_a_reason_is_no_longer_than_it_may_be(text: str) -> None:
    assert len(audit.without_mail(text)) <= LONGEST + 2


def test_an_entry_comes_back_from_its_document() -> None:
    entry = audit.entry("1", AT, By(NOBODY, ""), Action.LOGIN, "", outcome=Outcome.REFUSED, reason="WRONG")
    assert msgspec.convert(msgspec.to_builtins(entry, builtin_types=(datetime,)), Entry) == entry


def test_what_is_on_the_trail_is_counted_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    def counted() -> float:
        labels: dict[str, Any] = {"action": "login", "outcome": "refused"}
        return REGISTRY.get_sample_value("sagashop_audit_events_total", labels) or 0.0

    before = counted()
    tell([audit.entry("1", AT, BOSS, Action.LOGIN, "ada", outcome=Outcome.REFUSED, reason="WRONG")])
    (record,) = caplog.records
    assert record.getMessage() == "audit: login refused: user boss"
    said = vars(record)
    assert (said["subject"], said["address"], said["request_id"]) == ("ada", "192.0.2.7", "request-1")
    assert counted() == before + 1


def test_the_page_about_the_trail_names_every_action() -> None:
    page = (Path(__file__).parents[3] / "docs" / "audit.md").read_text()
    assert {action for action in Action if f"`{action}`" not in page} == set()
