"""What a running stack says of itself, for those who use it: where its parts are, and who may in."""

import json

from dev.services import NAMES
from dev.stack import SERVERS
from tests.integration.saga.shop import Shop


async def test_the_whole_stack_describes_itself_for_those_who_use_it(shop: Shop) -> None:
    described = json.loads((shop.stack.directory / "stack.json").read_text())
    assert described["admin"] == shop.stack.admin
    assert described["gateway"] == described["services"]["gateway"]
    assert {"mongodbUrl", "amqpUrl", "redisUrl", "managementUrl", "checker"} <= described.keys()
    assert set(described["services"]) == set(NAMES)
    assert set(described["pids"]) == {*NAMES, "order-2", "inventory-2", "mailbox", *SERVERS}
    for url in described["replicas"].values():
        assert (await shop.http.get(f"{url}/readyz")).is_success
    login = await shop.http.post(f"{described['gateway']}/auth/login", json=described["admin"])
    assert login.is_success
