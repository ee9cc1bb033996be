"""What is asked of the Kubernetes API: ports of Services, tokens of Secrets, and the writing of a status."""

from collections.abc import AsyncIterator

import pytest
from kubernetes.aio.client import ApiClient, Configuration

from saga_operator.cluster import Cluster
from saga_operator.endpoint import ClusterUnavailable, ServicePort
from saga_operator.policy.orders import OrderServiceError
from tests.operator.kube import NAME, NAMESPACE, Kube


@pytest.fixture
async def cluster(kube: Kube) -> AsyncIterator[Cluster]:
    async with ApiClient(Configuration(host=str(kube.api.url))) as client:
        yield Cluster(client)


async def reason_of(cluster: Cluster, service: str, port: str) -> str:
    with pytest.raises(OrderServiceError) as caught:
        await cluster.service_port(NAMESPACE, service, port)
    return caught.value.failure.reason


async def test_a_services_port_is_found_by_its_name(kube: Kube, cluster: Cluster) -> None:
    kube.service(
        "order",
        type="ClusterIP",
        ports=[
            {"name": "safe", "port": 1, "appProtocol": "https"},
            {"name": "http", "port": 3002, "appProtocol": "http"},
        ],
    )
    assert await cluster.service_port(NAMESPACE, "order", "http") == ServicePort(3002)
    assert await cluster.service_port(NAMESPACE, "order", "safe") == ServicePort(1, by_tls=True)


async def test_a_missing_service_a_missing_port_and_a_way_out_of_the_cluster_are_told_apart(
    kube: Kube, cluster: Cluster
) -> None:
    kube.service("order", type="ClusterIP", ports=[{"port": 3002}])
    kube.service("outside", type="ExternalName", externalName="evil.example")
    assert await reason_of(cluster, "none", "http") == "ServiceNotFound"
    assert await reason_of(cluster, "order", "http") == "PortNotFound"
    assert await reason_of(cluster, "outside", "http") == "ServiceNotUsable"


async def test_a_labelled_secrets_token_is_read(kube: Kube, cluster: Cluster) -> None:
    kube.secret("labelled", token="abc\n")
    assert await cluster.secret_token(NAMESPACE, "labelled", "token") == "abc"


@pytest.mark.parametrize(("name", "key"), [("unlabelled", "token"), ("labelled", "other"), ("none", "token")])
async def test_any_other_secret_is_refused(kube: Kube, cluster: Cluster, name: str, key: str) -> None:
    kube.secret("labelled", token="abc")
    kube.secret("unlabelled", labels={"app": "database"}, token="password")
    with pytest.raises(OrderServiceError) as caught:
        await cluster.secret_token(NAMESPACE, name, key)
    assert caught.value.failure.reason == "TokenUnavailable"
    assert "password" not in str(caught.value)


async def test_the_resource_is_served_only_once_it_is_defined(kube: Kube, cluster: Cluster) -> None:
    kube.undefine()
    assert not await cluster.serves_sagamonitors()
    kube.define()
    assert await cluster.serves_sagamonitors()


async def test_a_status_of_a_deleted_monitor_is_not_an_error_but_known(kube: Kube, cluster: Cluster) -> None:
    assert not await cluster.write_status(NAMESPACE, NAME, {"staleOrders": 1})
    kube.monitor()
    assert await cluster.write_status(NAMESPACE, NAME, {"staleOrders": 1})
    assert kube.status == {"staleOrders": 1}


async def test_an_api_server_that_is_away_is_told_as_that() -> None:
    async with ApiClient(Configuration(host="http://127.0.0.1:1")) as client:
        with pytest.raises(ClusterUnavailable):
            await Cluster(client).service_port(NAMESPACE, "order", "http")
        with pytest.raises(ClusterUnavailable):
            await Cluster(client).serves_sagamonitors()
