"""The commands that pages show are sagactl's own, whatever is in an id: a shell passes it on as it is."""

import shlex
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import urlencode

import pytest

from console import commands
from console.commands import Command, page_of
from console.letters import Wanted
from console.mails import Show as Mails
from console.orders import Show as Orders
from console.orders import Wanted as ThoseOrders
from console.rights import NEEDS
from console.trail import Wanted as Entries
from sagactl.oncall.jobs.job import Verb
from sagactl.wording import command_line
from services.order.model import Status
from services.shared.contract.audit import Action
from tests.command_lines import understood
from tests.unit.console.pages import rendered

EVIL: Final = "'; rm -rf ~ #$(id) `id` \"\\ -- é"
DASHED: Final = "-x"
odd = pytest.mark.parametrize("id_", [EVIL, DASHED, "order-1"])


def read(told: Iterable[Command]) -> list[Mapping[str, Any]]:
    """What sagactl's parser has of each, once a shell has split it."""
    found = []
    for each in told:
        program, *arguments = shlex.split(each.text)
        assert program == "sagactl"
        found.append(understood(arguments))
    assert found
    return found


@odd
def test_of_an_order(id_: str) -> None:
    assert [each["order_id"] for each in read(commands.of_order(id_))] == [id_] * 3
    for action in NEEDS:
        (found,) = read(commands.of_action(action, id_, "it's so"))
        assert (found["order_id"], found["reason"]) == (id_, "it's so")
    look, mend = read(commands.of_repair(id_, is_to_be_done=True))
    assert look["orders"] == mend["orders"] == [id_]
    assert (look["apply"], mend["apply"]) == (False, True)
    assert len(read(commands.of_repair(id_, is_to_be_done=False))) == 1


def test_of_letters_that_were_chosen_one_by_one() -> None:
    several = Wanted(queue="orders", ids=(EVIL, "1"))
    (redrive,) = read(commands.of_plan(Verb.REDRIVE, several, ""))
    assert (redrive["queue"], redrive["message"]) == ("orders", [EVIL, "1"])
    # It discards one at a time, or all of a kind.
    assert list(commands.of_plan(Verb.DISCARD, several, "")) == []
    assert list(commands.of_plan(Verb.REDRIVE, Wanted(queue="orders", ids=()), "")) == []


def test_without_a_reason_sagactl_does_nothing() -> None:
    (found,) = commands.of_action("cancel", "order-1", "")
    assert found.text == "sagactl orders cancel order-1 --reason ''"
    assert found.does == commands.FILL_IN


@odd
def test_of_letters(id_: str) -> None:
    for found in read(commands.of_letter("orders", id_)):
        assert found["queue"] == "orders"
        assert found["message"] in (id_, [id_])
    (redrive,) = read(commands.of_plan(Verb.REDRIVE, Wanted(queue="orders", ids=(id_,)), ""))
    assert (redrive["queue"], redrive["message"]) == ("orders", [id_])
    (discard,) = read(commands.of_plan(Verb.DISCARD, Wanted(queue="orders", ids=(id_,)), ""))
    assert (discard["queue"], discard["message"], discard["reason"]) == ("orders", id_, "")


@pytest.mark.parametrize("verb", Verb)
def test_of_letters_that_are_alike(verb: Verb) -> None:
    (found,) = read(commands.of_plan(verb, Wanted(queue="orders", kind="invalid", type=EVIL), "why"))
    assert {name: found[name] for name in ("verb", "queue", "kind", "type_", "reason")} == {
        "verb": verb,
        "queue": ["orders"],
        "kind": "invalid",
        "type_": EVIL,
        "reason": "why",
    }
    assert [each["queue"] for each in read(commands.of_letters(Wanted(queue="orders")))] == ["orders"] * 2
    assert [each["queue"] for each in read(commands.of_letters(Wanted()))] == [None] * 2


def test_what_sagactl_chooses_by_something_else_has_no_command() -> None:
    """Its --text looks at reasons alone."""
    assert list(commands.of_letters(Wanted(text="poison"))) == []
    assert list(commands.of_plan(Verb.REDRIVE, Wanted(queue="orders", text="poison"), "")) == []
    assert list(commands.of_plan(Verb.REDRIVE, Wanted(queue="orders", kind="failed", ids=("1",)), "")) == []


def test_of_lists() -> None:
    for status in Status:
        (found,) = read(commands.of_orders(ThoseOrders(status=status)))
        assert (found["status"], found["marked"]) == ([status], False)
    (found,) = read(commands.of_orders(ThoseOrders(Orders.ATTENTION)))
    assert found["marked"]
    states = {show: read(commands.of_mails(show))[0]["state"] for show in Mails}
    assert states == {Mails.LATEST: None, Mails.WAITING: "waiting", Mails.NEVER_SENT: "failed"}
    (found,) = read(commands.of_trail(Entries(Action.ORDER_CANCELLED, EVIL, DASHED)))
    assert (found["action"], found["actor"], found["subject"]) == (Action.ORDER_CANCELLED, EVIL, DASHED)
    read(commands.of_trail(Entries()))


@pytest.mark.parametrize(
    "told",
    [commands.NOW, commands.STUCK, commands.SWEEP, commands.QUEUES, commands.CHECKS, commands.EXAMPLES],
)
def test_of_pages_that_are_about_everything(told: Iterable[Command]) -> None:
    read(told)


@odd
def test_of_a_mail_that_is_sent_once_more(id_: str) -> None:
    (found,) = read(commands.of_resend(id_, "it bounced"))
    assert (found["mail"], found["reason"]) == (id_, "it bounced")


@odd
def test_of_a_restocking(id_: str) -> None:
    (found,) = read(commands.of_restock(id_, 12, "a delivery"))
    assert (found["product"], found["pieces"], found["reason"]) == (id_, 12, "a delivery")


@odd
def test_of_a_product_and_of_a_search(id_: str) -> None:
    assert [each["product"] for each in read(commands.of_product(id_))] == [id_] * 2
    assert [each["text"] for each in read(commands.of_search(id_))] == [id_]


@odd
def test_a_command_leads_to_its_page_whatever_the_letter_is_called(id_: str) -> None:
    said = urlencode({"queue": "orders", "id": id_})
    assert page_of(command_line("letters discard", "orders", id_)) == f"/letters/discard?{said}"
    assert page_of(command_line("letters redrive", "orders", id=id_)) == f"/letters/redrive?{said}"


@odd
def test_a_page_has_the_command_as_it_is_to_be_copied(id_: str) -> None:
    (first, *_) = told = tuple(commands.of_letter("orders", id_))
    page = rendered("error", title="t", detail="d", request_id="", commands=told)
    fields = [each for each in page.all_of("input") if each.get("class") == "command"]
    assert page.commands == [each.text for each in told]
    assert all("readonly" in each for each in fields)
    assert fields[0]["aria-label"] == f"Command: {first.does}"


def test_what_a_field_of_a_page_cannot_hold_as_it_is_is_no_command() -> None:
    """A line break is left out of a field, and what is not seen is not to be pasted."""
    told = (*commands.of_search("a\nb"), *commands.of_search("a\u202eb"), *commands.of_search("ab"))
    page = rendered("error", title="t", detail="d", request_id="", commands=told)
    assert page.commands == ["sagactl find ab"]
