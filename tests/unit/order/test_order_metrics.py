"""What is counted of a decision."""

from prometheus_client import REGISTRY

from services.order.metrics import observe
from services.order.model import Order, Status
from services.order.saga import advance
from tests.unit.order import examples as eg


def counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def run(order: Order, *triggers: object) -> None:
    for number, trigger in enumerate(triggers):
        message = eg.message(trigger, id_=f"event-{number}")
        decision = advance(order, message)
        observe(message, decision)
        for changed in decision.changed:
            assert isinstance(changed, Order)
            order = changed


def test_a_refund_is_counted_when_it_is_asked_for_and_when_it_is_done() -> None:
    asked, done = (counted("sagashop_refunds_total", progress=each) for each in ("requested", "done"))
    run(eg.PAID, eg.REFUND, eg.REFUND, eg.MONEY_BACK, eg.MONEY_BACK)
    run(eg.CONFIRMED, eg.CAPTURED_ANOTHER_AMOUNT, eg.CANCEL, eg.CANCEL)
    assert counted("sagashop_refunds_total", progress="requested") == asked + 2
    assert counted("sagashop_refunds_total", progress="done") == done + 1


def test_ways_into_a_final_state_are_counted() -> None:
    labels = {"from": Status.CONFIRMED, "to": Status.PAID}
    before = counted("sagashop_order_transitions_total", **labels)
    run(eg.CONFIRMED, eg.CAPTURED, eg.CAPTURED)
    assert counted("sagashop_order_transitions_total", **labels) == before + 1
