"""A sweep begun at the console: what is asked of the order service, until when, and what is said of it."""

import json
from datetime import timedelta
from typing import Any, Final, cast

import pytest

from console import stuck
from console.services import Command, Refused, Services
from console.sweeping import sweep
from console.visitors import Visitor
from saga_operator.policy.policy import StaleOrder
from services.shared.contract.codes import Code
from tests.unit.console.pages import NOW

CONFIRMED: Final = [StaleOrder(f"order-{number}", "CONFIRMED", NOW) for number in range(5)]
PENDING: Final = StaleOrder("order-9", "PENDING", NOW - timedelta(hours=1))


class Session:
    access_token = "token of eve"  # nobody's


EVE: Final = Visitor("id", cast("Any", Session()), cast("Any", None), "192.0.2.1")


class OrderService:
    """Does what it is asked, unless told otherwise."""

    def __init__(self, **refusals: Refused) -> None:
        self.refusals = refusals
        self.asked: list[tuple[str, Command]] = []

    async def act(self, order_id: str, command: Command, token: str, address: str) -> bytes:
        assert (token, address) == ("token of eve", "192.0.2.1")
        self.asked.append((order_id, command))
        if refusal := self.refusals.get(order_id.replace("-", "_")):
            raise refusal
        return json.dumps({"orderId": order_id, "status": "CANCELLED", "outcome": "compensated"}).encode()


async def said(service: OrderService, *orders: StaleOrder) -> str:
    return stuck.told(await sweep(cast("Services", service), orders, "the broker was away", EVE))


async def test_each_order_is_compensated_if_it_is_as_stale_still_as_its_policy_says() -> None:
    service = OrderService()
    assert await said(service, *CONFIRMED[:1], PENDING) == ""
    assert [(id_, command.body) for id_, command in service.asked] == [
        ("order-9", {"reason": "the broker was away", "status": "PENDING", "olderThan": 900.0}),
        ("order-0", {"reason": "the broker was away", "status": "CONFIRMED", "olderThan": 300.0}),
    ]


async def test_one_that_fails_is_told_and_the_others_are_swept() -> None:
    service = OrderService(order_1=Refused("there is no such order", Code.NOT_FOUND))
    assert await said(service, *CONFIRMED[:3]) == "2 swept, 1 not: there is no such order"


@pytest.mark.parametrize("code", [Code.FORBIDDEN, Code.TOKEN_EXPIRED])
async def test_whom_the_service_refuses_is_asked_for_no_second_order(code: Code) -> None:
    service = OrderService(order_0=Refused("this is for the role admin", code))
    assert await said(service, *CONFIRMED) == "0 swept, 1 not, 4 left alone: this is for the role admin"


async def test_a_service_that_is_ill_is_left_alone_after_three() -> None:
    away = Refused("the order service does not answer: try again", Code.UNAVAILABLE)
    service = OrderService(**{f"order_{number}": away for number in range(5)})
    assert "3 not, 2 left alone" in await said(service, *CONFIRMED)
    assert len(service.asked) == 3
