"""What each role may do."""

from services.shared.http.rights import Right, refusal, rights_of


def test_an_administrator_may_do_everything() -> None:
    assert rights_of(["admin"]) == set(Right)


def test_support_reads_and_cancels_and_a_viewer_reads() -> None:
    assert rights_of(["support"]) == {Right.READ_ORDERS, Right.CANCEL_ORDERS}
    assert rights_of(["viewer"]) == {Right.READ_ORDERS}


def test_roles_add_up_and_an_unknown_one_gives_nothing() -> None:
    assert rights_of(["viewer", "support"]) == rights_of(["support"])
    assert rights_of(["", "Admin", "root"]) == rights_of([]) == frozenset()


def test_who_is_refused_learns_whose_it_is() -> None:
    assert refusal(Right.CANCEL_ORDERS) == "this is for the role admin or support"
    assert refusal(Right.RESTOCK) == "this is for the role admin"
