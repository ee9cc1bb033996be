"""What each role may do."""

import pytest

from services.shared.http.rights import Right, known_roles, refusal, rights_of


def test_an_administrator_may_do_everything() -> None:
    assert rights_of(["admin"]) == set(Right)


def test_support_reads_cancels_and_sends_mails_again_and_a_viewer_reads() -> None:
    assert rights_of(["support"]) == {Right.READ_ORDERS, Right.CANCEL_ORDERS, Right.RESEND_MAILS}
    assert rights_of(["viewer"]) == {Right.READ_ORDERS}


def test_roles_add_up_and_an_unknown_one_gives_nothing() -> None:
    assert rights_of(["viewer", "support"]) == rights_of(["support"])
    assert rights_of(["", "Admin", "root"]) == rights_of([]) == frozenset()


def test_who_is_refused_learns_whose_it_is() -> None:
    assert refusal(Right.CANCEL_ORDERS) == "this is for the role admin or support"
    assert refusal(Right.RESTOCK) == "this is for the role admin"


def test_the_roles_of_a_token_are_those_that_are_known_each_once() -> None:
    assert known_roles(["viewer", "admin", "root", "admin"]) == ("admin", "viewer")


@pytest.mark.parametrize("claim", [None, 5, "admin", {"admin": True}, [["admin"], {}, None, 1.5]])
def test_a_claim_that_is_no_list_of_names_gives_no_role(claim: object) -> None:
    assert known_roles(claim) == ()
