"""What the checks of the books said reaches the SagaMonitor of the shop that they are about, and no other."""

import asyncio
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from kmock import action, resource

from saga_operator.consistency import NOT_CHECKED, Checked, Ended, judged, latest
from saga_operator.policy.last_words import FIRST_AT_MOST, LastWords
from saga_operator.report import Seen, conclude
from saga_operator.resource import SWEEP_REQUEST
from sagactl.oncall.invariants import Finding, Invariant
from sagactl.oncall.report import Report, Verdict
from tests.operator.kube import PODS, RELEASE, START, Kube
from tests.operator.test_operator_report import SCHEMA, merged, reasons, spec, swept

CRD = Path(__file__).parents[2] / "charts" / "saga-operator" / "files" / "sagamonitors.yaml"
OWN = {"serviceRef": {"name": f"{RELEASE}-order"}}
WITHIN = timedelta(hours=3)
AGO = timedelta(minutes=10)


def said(verdict: Verdict, *findings: Finding, orders: int = 40) -> str:
    """The last words of a check, by those who write them."""
    report = Report({}, findings, [], orders)
    assert report.verdict is verdict
    return report.last_words.written()


BROKEN = said(Verdict.BROKEN, Finding(Invariant.STOCK_OWNED, "order-7", "paid for 2; sold: nothing"))
HOLDS = said(Verdict.HOLDS)
WAITS = said(Verdict.WAITING, Finding(Invariant.SAGA_ENDED, "order-9", "is CONFIRMED", waiting=True))


def checked(message: str, exit_code: int = 0, at: datetime = START - AGO) -> Checked:
    return Checked.of(Ended(at, exit_code, message))


@pytest.mark.parametrize(
    ("check", "status", "reason", "tells"),
    [
        (None, "Unknown", "NotChecked", "sagactl.check.enabled"),
        (checked(HOLDS), "True", "Holds", "judged 40 orders: every invariant holds"),
        (checked(WAITS, 3), "Unknown", "Waiting", "messages are late: SAGA_ENDED 1"),
        (checked(BROKEN, 1), "False", "Broken", "STOCK_OWNED 1, such as order-7: paid for 2; sold: nothing"),
        (
            checked("MongoDB does not answer:\n nobody", 4),
            "Unknown",
            "CheckFailed",
            "MongoDB does not answer: nobody",
        ),
        (checked("", 137), "Unknown", "CheckFailed", "exit code 137"),
        (checked(BROKEN, 1, START - WITHIN - AGO), "Unknown", "Outdated", "and said broken"),
    ],
    ids=["none", "holds", "waits", "broken", "could not look", "was killed", "long ago"],
)
def test_what_the_last_check_said_is_the_condition(
    check: Checked | None, status: str, reason: str, tells: str
) -> None:
    found = judged(check, WITHIN, START)
    assert (found.type, found.status, found.reason) == ("Consistent", status, reason)
    assert tells in found.message


def test_the_newest_check_counts_and_is_remembered_once_its_pod_is_gone() -> None:
    old, new = Ended(START - 2 * AGO, 0, HOLDS), Ended(START - AGO, 1, BROKEN)
    found = latest(None, [new, old])
    assert found == checked(BROKEN)
    assert latest(found, []) == latest(found, [old]) == found
    assert found is not None
    assert Checked.shown({"lastCheck": found.to_status()}) == found
    assert latest(None, []) is None


def test_events_are_posted_when_the_books_stop_agreeing_and_when_they_agree_again() -> None:
    status: dict[str, Any] = {}
    told: list[str] = []
    for message in (HOLDS, BROKEN, BROKEN, HOLDS):
        report = conclude(Seen(1, status), spec(), swept(at=START), checked(message))
        status = merged(status, report)
        told += reasons(report.events)
        jsonschema.validate(status, SCHEMA)
    assert told == ["BooksDisagree", "BooksAgree"]


def test_last_words_fit_into_a_termination_message_whatever_was_found() -> None:
    endless = Finding(Invariant.EXPLAINED, "order-1", "\N{PILE OF POO}\n" * 10_000)
    words = said(Verdict.BROKEN, *[endless] * 1000)
    assert len(words.encode()) < 4096
    read = LastWords.read(words)
    assert (read.findings["EXPLAINED"], len(read.first)) == (1000, FIRST_AT_MOST)
    assert set(read.findings) == {invariant.name for invariant in Invariant}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Traceback (most recent call last):",
        "[]",
        "{}",
        '{"verdict": "holds", "orders": -1, "findings": {}, "first": ""}',
        '{"verdict": "fine", "orders": 1, "findings": {}, "first": ""}',
        json.dumps({"verdict": "holds", "orders": 1, "findings": {"order-1": 1}, "first": ""}),
        json.dumps(
            {"verdict": "holds", "orders": 1, "findings": {"A" * n: 1 for n in range(1, 30)}, "first": ""}
        ),
    ],
)
def test_what_is_not_a_checks_last_words_is_not_taken_for_them(text: str) -> None:
    with pytest.raises(ValueError, match="not the last words of a check"):
        LastWords.read(text)
    assert checked(text).verdict == "failed"


@pytest.mark.looptime
async def test_a_check_by_the_clock_reaches_the_monitor_its_column_and_its_metrics(kube: Kube) -> None:
    kube.monitor(orderService=OWN)
    kube.check("shop-check-1", START - AGO, HOLDS)
    kube.check("of-another", START, BROKEN, 1, **{"sagashop.io/checks": "tea-order"})
    kube.pod(
        "running", {"sagashop.io/checks": "shop-order"}, {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
    )
    async with kube.operator() as operator:
        await asyncio.sleep(4)
        assert kube.conditions["Consistent"] == ("True", "Holds")
        assert kube.status["lastCheck"]["orders"] == operator.metric("sagamonitor_check_orders") == 40
        assert operator.metric("sagamonitor_check_timestamp_seconds") == (START - AGO).timestamp()
        assert operator.metric("sagamonitor_condition", type="Consistent") == 1
        kube.check("shop-check-2", START, BROKEN, 1)
        await kube.annotate(SWEEP_REQUEST, "now")
        await asyncio.sleep(6)
        assert kube.conditions["Consistent"] == ("False", "Broken")
        assert operator.metric("sagamonitor_check_findings", invariant="STOCK_OWNED") == 1
        assert operator.metric("sagamonitor_check_findings", invariant="MONEY_AGREES") == 0
    assert "BooksDisagree" in kube.events
    jsonschema.validate(kube.status, SCHEMA)
    columns = yaml.safe_load(CRD.read_text())["spec"]["versions"][0]["additionalPrinterColumns"]
    assert [each["jsonPath"] for each in columns if each["name"] == "Consistent"] == [
        '.status.conditions[?(@.type=="Consistent")].status'
    ]


@pytest.mark.looptime
async def test_an_operator_that_may_not_list_pods_goes_by_what_it_remembers(kube: Kube) -> None:
    remembered = {"lastCheck": checked(BROKEN, 1).to_status()}
    kube.monitor(orderService=OWN)
    kube.monitor(name="second", status=remembered, orderService=OWN)
    kube.api.refuses_pods = True
    async with kube.operator():
        await asyncio.sleep(4)
        assert kube.conditions["Consistent"] == ("Unknown", "NotChecked")
        second = {each["type"]: each for each in kube.named("second")["status"]["conditions"]}
        assert (second["Consistent"]["status"], second["Consistent"]["reason"]) == ("False", "Broken")
        assert "lastSweepTime" in kube.status


@pytest.mark.looptime
async def test_a_monitor_of_another_shop_is_told_nothing_of_our_books(kube: Kube) -> None:
    kube.monitor()  # by a url
    kube.check("shop-check-1", START - AGO, BROKEN, 1)
    async with kube.operator():
        await asyncio.sleep(4)
        assert kube.conditions["Consistent"] == ("Unknown", "NotChecked")
    assert len(kube.api[action.LIST, resource(PODS)]) == 0
    (condition,) = [each for each in kube.status["conditions"] if each["type"] == "Consistent"]
    assert condition["message"] == NOT_CHECKED


@pytest.mark.looptime
async def test_what_a_check_said_is_known_again_after_a_restart_and_outdated_in_the_end(kube: Kube) -> None:
    kube.monitor(status={"lastCheck": checked(HOLDS).to_status()}, orderService=OWN, checkedWithin="11m")
    async with kube.operator() as operator:
        await asyncio.sleep(4)
        assert kube.conditions["Consistent"] == ("True", "Holds")
        assert operator.metric("sagamonitor_check_orders") == 40
        await asyncio.sleep(300)
        assert kube.conditions["Consistent"] == ("Unknown", "Outdated")
