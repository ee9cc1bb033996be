"""Orders that are copied, and what an order costs beside them."""

from typing import Any, Final
from uuid import UUID, uuid4

import bson
import pytest

from bench.existing import Comparison
from bench.load import Load, Offered
from bench.meter import Counts, Reading, Usage
from bench.past import copy_of, original
from bench.report import Measured

ORDER = str(uuid4())
TOLD = str(uuid4())
DOCUMENTS: Final[list[tuple[str, str, dict[str, Any]]]] = [
    ("order", "orders", {"_id": ORDER, "seen": [b"0" * 16], "status": "PAID"}),
    ("payment", "gateway_ledger", {"_id": f"{ORDER}:capture", "orderId": ORDER}),
    ("notification", "notifications", {"_id": TOLD, "orderId": ORDER, "subject": f"Order {ORDER} is paid"}),
]


def test_a_copy_of_an_order_is_the_same_under_an_id_of_its_own_everywhere() -> None:
    order, ledger, told = [bson.decode(kept.document) for kept in copy_of(original(ORDER, DOCUMENTS))]
    id_ = order["_id"]
    assert UUID(id_) != UUID(ORDER)
    assert order == DOCUMENTS[0][2] | {"_id": id_}
    assert ledger == {"_id": f"{id_}:capture", "orderId": id_}
    assert UUID(told.pop("_id")) not in {UUID(TOLD), UUID(id_)}
    assert told == {"orderId": id_, "subject": f"Order {id_} is paid"}


def test_no_two_copies_have_an_id_in_common() -> None:
    order = original(ORDER, DOCUMENTS)
    ids = [bson.decode(kept.document)["_id"] for _ in range(3) for kept in copy_of(order)]
    assert len(set(ids)) == len(ids) == 9


def turn(cpu_ms: float) -> Measured:
    orders = 10
    used = Reading(Usage({"mongodb": cpu_ms * orders / 1000}, {}), Counts(0, 0, 0, 0))
    nothing = Reading(Usage({"mongodb": 0.0}, {}), Counts(0, 0, 0, 0))
    return Measured("x", Load(orders), Offered(ids=["x"] * orders), [], 1, nothing, used)


@pytest.mark.parametrize(("full", "too_much"), [((3.0, 3.6), False), ((3.3, 3.4), True), ((2.0, 2.0), False)])
def test_a_tenth_more_per_order_is_allowed(full: tuple[float, ...], too_much: bool) -> None:  # noqa: FBT001
    found = Comparison(empty=[turn(2.5), turn(3.5)], full=[turn(each) for each in full])
    assert found.more_cpu == pytest.approx(sum(full) / 6 - 1)
    assert found.is_too_much is too_much
    assert ("TOO MUCH" in str(found)) is too_much
