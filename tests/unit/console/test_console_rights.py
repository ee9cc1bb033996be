"""What is offered to whom."""

import pytest

from console.rights import NEEDS, offers
from console.services import command
from sagactl.oncall.explain.explaining import explain
from sagactl.oncall.explain.explanation import Action
from services.shared.http.rights import Right, Role
from tests.unit.console.pages import somebody
from tests.unit.explain.desk import Desk

FORM = {"reason": "broken", "key": "key-1", "status": "CONFIRMED"}


def test_every_command_of_the_table_needs_a_right_and_has_a_way() -> None:
    names = {action.name for action in explain(Desk().marks()).actions}
    assert names == NEEDS.keys()
    for name in names:
        assert command(name, FORM).path.endswith(f"/{{}}/{name}")


@pytest.mark.parametrize("role", Role)
def test_what_the_table_forbids_nobody_is_offered(role: Role) -> None:
    action = Action("cancel", allowed=False, says="it is paid")
    (offer,) = offers(somebody(role), [action])
    assert (offer.allowed, offer.says) == (False, "it is paid")


@pytest.mark.parametrize(
    ("role", "may"),
    [(Role.ADMIN, {"cancel", "refund", "compensate"}), (Role.SUPPORT, {"cancel"}), (Role.VIEWER, set())],
)
def test_a_role_is_offered_what_it_may(role: Role, may: set[str]) -> None:
    actions = [Action(name, allowed=True, says="would") for name in NEEDS]
    assert {offer.name for offer in offers(somebody(role), actions) if offer.allowed} == may
    for offer in offers(somebody(role), actions):
        assert offer.allowed or offer.says.startswith("this is for the role admin")


def test_a_command_that_the_form_does_not_fill_is_none() -> None:
    for action in ("refund", "compensate", "drop", ""):
        with pytest.raises(KeyError):
            command(action, {})


def test_a_refund_has_the_key_of_its_form_so_that_posting_it_twice_is_one() -> None:
    assert command("refund", FORM).key == "key-1"
    assert Right.REFUND_ORDERS is NEEDS["refund"]
