"""Who may do what, tried in the cluster by those who may not."""

import json
from http import HTTPStatus

import pytest

from sagactl.shop import Client, ShopError
from tests.e2e.release import CommandError, Release

SECRETS = (
    "import os, pathlib; read = lambda name: pathlib.Path(os.environ['SECRETS_DIR'], name).read_text()\n"
)
CONNECT = """
import socket, sys
try:
    socket.create_connection(("{host}", {port}), 3)
    print("open")
except OSError as error:
    print("closed", error)
"""
FOREIGN_DATABASE = (
    SECRETS
    + """
import pymongo
client = pymongo.MongoClient(read("MONGODB_URL"))
client["{own}"].probe.find_one()
try:
    client["{foreign}"].orders.find_one()
    print("read")
except pymongo.errors.OperationFailure as error:
    print("refused", error.code)
"""
)
FOREIGN_EVENT = (
    SECRETS
    + """
import asyncio, aio_pika

async def tried(attempt):
    connection = await aio_pika.connect(read("AMQP_URL"))
    try:
        await attempt(await connection.channel())
        print("allowed")
    except aio_pika.exceptions.AMQPError as error:
        print("refused" if "ACCESS_REFUSED" in str(error) else repr(error))
    await connection.close()

async def publish(channel):
    exchange = await channel.get_exchange("saga.events", ensure=False)
    await exchange.publish(aio_pika.Message(b"{{}}"), "{event}")

async def consume(channel):
    queue = await channel.get_queue("{queue}", ensure=False)
    await queue.get(fail=False)

async def bypass(channel):
    await channel.default_exchange.publish(aio_pika.Message(b"{{}}"), "{queue}")

async def look_at_own(channel):
    await channel.get_queue("{own}")

async def main():
    for attempt in (look_at_own, publish, consume, bypass):
        await tried(attempt)

asyncio.run(main())
"""
)


async def in_pod(release: Release, service: str, code: str) -> str:
    return await release.kubectl("exec", f"deployment/{release.name}-{service}", "--", "python", "-c", code)


async def test_a_service_reads_its_own_database_only(release: Release) -> None:
    said = await in_pod(release, "notification", FOREIGN_DATABASE.format(own="notification", foreign="order"))
    assert said.split() == ["refused", "13"]


async def test_a_service_publishes_and_consumes_what_is_its_own_only(release: Release) -> None:
    code = FOREIGN_EVENT.format(own="notifications", event="ORDER_PAID", queue="orders")
    assert (await in_pod(release, "notification", code)).split() == [
        "allowed",
        "refused",
        "refused",
        "refused",
    ]


async def test_the_internal_routes_are_not_behind_the_door(visitor: Client, admin: Client) -> None:
    for caller in (visitor, admin):
        with pytest.raises(ShopError) as refused:
            await caller.call("GET", "/internal/orders/stale")
        assert refused.value.status in {HTTPStatus.NOT_FOUND, HTTPStatus.UNAUTHORIZED}


@pytest.mark.parametrize(
    ("account", "audience", "status"),
    [
        ("shop-saga-operator", "sagashop-order-internal", HTTPStatus.OK),
        ("shop-payment", "sagashop-order-internal", HTTPStatus.FORBIDDEN),
        ("shop-saga-operator", "https://kubernetes.default.svc.cluster.local", HTTPStatus.UNAUTHORIZED),
    ],
    ids=["the operator", "another account", "a token for somebody else"],
)
async def test_the_order_service_lets_in_the_operators_own_token_only(
    release: Release, account: str, audience: str, status: HTTPStatus
) -> None:
    token = (
        await release.kubectl("create", "token", account, f"--audience={audience}", "--duration=10m")
    ).strip()
    code = f"""
import urllib.error, urllib.request
request = urllib.request.Request("http://127.0.0.1:3002/internal/orders/stale?status=CONFIRMED&olderThan=300")
request.add_header("Authorization", "Bearer {token}")
try:
    print(urllib.request.urlopen(request, timeout=10).status)
except urllib.error.HTTPError as error:
    print(error.code)
"""
    assert (await in_pod(release, "order", code)).strip() == str(int(status))


@pytest.mark.parametrize(
    ("account", "verb", "resource", "allowed"),
    [
        ("shop-saga-operator", "patch", "sagamonitors.sagashop.io", True),
        ("shop-saga-operator", "create", "sagamonitors.sagashop.io", True),
        ("shop-saga-operator", "delete", "sagamonitors.sagashop.io", False),
        ("shop-saga-operator", "get", "deployments/shop-saga-operator", True),
        ("shop-saga-operator", "get", "deployments/shop-order", False),
        ("shop-saga-operator", "patch", "deployments/shop-saga-operator", False),
        ("shop-saga-operator", "get", "secrets", False),
        ("shop-saga-operator", "get", "services", True),
        ("shop-saga-operator", "list", "pods", True),
        ("shop-saga-operator", "get", "pods", False),
        ("shop-order", "create", "tokenreviews.authentication.k8s.io", True),
        ("shop-order", "get", "secrets", False),
        ("shop-gateway", "get", "services", False),
        ("shop-payment", "create", "tokenreviews.authentication.k8s.io", False),
    ],
)
async def test_an_account_may_do_what_it_must_and_no_more(
    release: Release, account: str, verb: str, resource: str, *, allowed: bool
) -> None:
    who = f"--as=system:serviceaccount:{release.namespace}:{account}"
    try:
        said = await release.kubectl("auth", "can-i", verb, resource, who)
    except CommandError as error:
        said = str(error)
    assert ("yes" in said.split()) is allowed


async def test_a_pod_that_is_not_hardened_is_not_admitted(release: Release) -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "root"},
        "spec": {"containers": [{"name": "root", "image": "sagashop/gateway"}]},
    }
    with pytest.raises(CommandError, match='violates PodSecurity "restricted'):
        await release.kubectl("apply", "--filename", "-", stdin=json.dumps(pod))


async def test_nobody_talks_to_whom_he_need_not(release: Release, report: list[str]) -> None:
    """Where the cluster enforces NetworkPolicies, which kind's own network does since v0.24."""
    allowed = [
        ("gateway", "shop-order", 3002),
        ("order", "shop-product", 3004),
        ("payment", "shop-rabbitmq", 5672),
    ]
    denied = [
        ("gateway", "shop-mongodb", 27017),
        ("payment", "shop-order", 3002),
        ("product", "shop-rabbitmq", 15672),
    ]
    for service, host, port in allowed:
        assert (await in_pod(release, service, CONNECT.format(host=host, port=port))).startswith("open"), (
            service,
            host,
        )
    said = [
        await in_pod(release, service, CONNECT.format(host=host, port=port)) for service, host, port in denied
    ]
    enforced = not said[0].startswith("open")
    how = "enforced" if enforced else "accepted, but NOT enforced, by this cluster"
    report.append(f"          NetworkPolicies are {how}")
    assert [one.startswith("open") for one in said] == [not enforced] * len(denied)
