"""What the simulation's judge takes for a loss, and what not."""

from datetime import UTC, datetime

import pytest
from msgspec import structs
from pamqp.commands import Basic

from dev.simulate.broker import Broker, Stored
from dev.simulate.database import Database
from dev.simulate.dice import Dice
from dev.simulate.history import History
from dev.simulate.judge import Emitted, Judge
from services.order.domain import DOMAIN
from services.order.model import Order
from services.shared.contract import wire
from services.shared.contract.decisions import Message
from services.shared.database.store import to_document
from services.shared.engine.batch import digest
from tests.unit.memory import Memory
from tests.unit.order import examples as eg

QUEUE = "orders"
GIVEN_BACK = eg.released(lamp=2, desk=1)


@pytest.fixture
def cancelled() -> Order:
    """Its stock came back before it heard of the payment, and it has asked for it once more."""
    memory = Memory(DOMAIN, eg.CONFIRMED)
    memory.handle(GIVEN_BACK)
    memory.handle(eg.DECLINED)
    order = memory.one(Order, eg.ORDER_ID)
    assert order.releases
    return order


def judged(order: Order, *, emitted: list[str], handled: str) -> list[str]:
    """What is found when the second of `emitted` is acknowledged."""
    history = History(kept=False)
    judge = Judge({"order": DOMAIN}, history, auto_compensation=True)
    judge.databases = {"order": Database("order", lambda *_: None)}
    judge.broker = Broker(Dice("seed"), history, judge.acknowledged)
    body = wire.encode(GIVEN_BACK)
    judge.emitted = {id_: Emitted(GIVEN_BACK.type, body) for id_ in emitted}
    at = datetime(2026, 1, 1, tzinfo=UTC)
    seen = (*order.seen, digest(Message(id=handled, source=QUEUE, body=GIVEN_BACK, at=at)))
    judge.databases["order"].insert(Order.collection, to_document(structs.replace(order, seen=seen)))
    judge.acknowledged(QUEUE, Stored(Basic.Properties(message_id=emitted[1]), body))
    return judge.found


def test_what_was_said_twice_is_handled_once(cancelled: Order) -> None:
    """Inventory heard of the payment twice, and gave back twice: the second changed nothing when it came."""
    assert judged(cancelled, emitted=["first", "second"], handled="first") == []


def test_what_was_said_twice_and_not_handled_is_a_loss(cancelled: Order) -> None:
    assert judged(cancelled, emitted=["first", "second"], handled="another") == [
        "second on orders was acknowledged, but StockReleased of order-1 was not committed"
    ]
