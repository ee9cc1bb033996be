"""TLS inside of the cluster, by certificates that are given as Secrets: `make e2e-long`."""

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import NamedTuple

import pytest

from dev.ports import SERVICES as PORTS
from sagactl.polling import until
from sagactl.shop import Client
from tests.authority import Authority
from tests.e2e.conftest import HERE, administrator, at_the_door_of, installed
from tests.e2e.release import CommandError, Release
from tests.e2e.watcher import Watcher

pytestmark = pytest.mark.long
VAULT = Release("vault", "vault-e2e", (HERE / "values.yaml", HERE / "tls.yaml"))
SERVERS = ("jaeger", "mongodb", "rabbitmq", "redis")
CERTIFIED = (*PORTS, *SERVERS, "load", "saga-operator")
METRICS_PORT = 9090
LISTENERS = (
    *((f"deployment/vault-{service}", port) for service, port in PORTS.items()),
    *((f"deployment/vault-{service}", METRICS_PORT) for service in (*PORTS, "load")),
    *(("statefulset/vault-rabbitmq", port) for port in (5671, 15671, 15691)),
    ("statefulset/vault-mongodb", 27017),
    ("deployment/vault-redis", 6379),
    *(("deployment/vault-jaeger", port) for port in (4317, 4318, 16686)),
    ("deployment/vault-saga-operator", 8081),
)
PLAIN_PORTS_OF_THE_BROKER = (5672, 15672, 15692)
# The first byte of an alert, TLS's own word for "this is no TLS".
ALERT = 0x15
# Seconds within which a kubelet has brought a changed Secret to its pods, and they have made something of it.
RENEWED_WITHIN = 300


class Vault(NamedTuple):
    release: Release
    authority: Authority

    def believing(self) -> ssl.SSLContext:
        """The authority, and nobody else."""
        return ssl.create_default_context(cafile=self.authority.file)

    async def certify(self) -> None:
        """Give certificates to all, as Secrets; others than before."""
        node = (await self.release.get("nodes"))["items"][0]["status"]["addresses"]
        await self._give("everybody", *(name for chart in CERTIFIED for name in self._names(chart)))
        addresses = (one["address"] for one in node if one["type"] == "InternalIP")
        await self._give("public", *self._names("gateway"), *addresses)

    def _names(self, chart: str) -> Iterator[str]:
        """By which its Service is called, and each member of the database."""
        name, namespace = f"{self.release.name}-{chart}", self.release.namespace
        whole = f"{name}.{namespace}.svc.cluster.local"
        yield from (name, f"{name}.{namespace}", f"{name}.{namespace}.svc", whole)
        if chart == "mongodb":
            yield f"*.{whole}"

    async def _give(self, secret: str, *names: str) -> None:
        identity = self.authority.identity(*names)
        files = {"tls.crt": identity.certificate, "tls.key": identity.key, "ca.crt": self.authority.file}
        given = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": secret},
            "stringData": {key: await asyncio.to_thread(file.read_text) for key, file in files.items()},
        }
        await self.release.kubectl("apply", "--filename", "-", stdin=json.dumps(given))


@pytest.fixture(scope="module")
def vault(report: list[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vault]:
    vault = Vault(VAULT, Authority.made_in(tmp_path_factory.mktemp("authority")))

    async def certify(_: Release) -> None:
        await vault.certify()

    with installed(VAULT, report, certify):
        yield vault


@pytest.fixture
async def door(vault: Vault) -> AsyncIterator[Client]:
    async with at_the_door_of(vault.release, vault.believing()) as visitor:
        yield visitor


async def shown(vault: Vault, workload: str, port: int) -> bytes:
    """Return the certificate that is shown there, once its authority and its name were checked."""
    kind, _, name = workload.partition("/")
    if kind == "pod":  # of a server of several
        name = name.rpartition("-")[0]
    async with vault.release.forwarded(workload, port) as local:
        _, writer = await asyncio.open_connection(
            "127.0.0.1", local, ssl=vault.believing(), server_hostname=name
        )
        certificate: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.transport.abort()
        return certificate


async def answer_in_plain(vault: Vault, workload: str, port: int) -> bytes:
    async with vault.release.forwarded(workload, port) as local:
        reader, writer = await asyncio.open_connection("127.0.0.1", local)
        said = b""
        with suppress(OSError):  # it may be gone at once
            writer.write(b"PING\r\n\r\n")
            writer.write_eof()
            said = await asyncio.wait_for(reader.read(100), 60)
        writer.transport.abort()
        return said


async def test_an_order_is_paid(vault: Vault, door: Client) -> None:
    assert (await vault.release.door()).startswith("https://")
    admin, customer = await administrator(vault.release, door), await door.register()
    tea = await admin.add_product(5)
    order = await customer.place({tea: 2})
    assert (await customer.settled(order["orderId"], within=120))["status"] == "PAID"
    await admin.stock_becomes(tea, (3, 0, 2))


async def test_helm_test_is_content_with_the_shop_and_with_what_became_of_the_load(vault: Vault) -> None:
    said = await vault.release.test()
    assert "vault-smoke" in said
    assert "vault-verdict" in said


async def test_the_operator_reaches_the_order_service(vault: Vault) -> None:
    await Watcher(vault.release).shows("OrderServiceReachable", "True")


async def test_every_listener_shows_its_certificate_and_says_nothing_in_plain(
    vault: Vault, report: list[str]
) -> None:
    for workload, port in LISTENERS:
        assert await shown(vault, workload, port), (workload, port)
        said = await answer_in_plain(vault, workload, port)
        assert not said or said[0] == ALERT, (workload, port, said)
    report.append(f"          {len(LISTENERS)} listeners: each with its certificate, none in plain")


@pytest.mark.parametrize("port", PLAIN_PORTS_OF_THE_BROKER)
async def test_the_broker_has_no_plain_listener(vault: Vault, port: int) -> None:
    assert await answer_in_plain(vault, "statefulset/vault-rabbitmq", port) == b""


async def test_whoever_believes_another_authority_reaches_nobody(vault: Vault) -> None:
    elsewhere = ("env", "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt")
    with pytest.raises(CommandError, match="certificate verify failed"):
        await vault.release.tool(*elsewhere, "python", "-m", "sagactl.smoke")


async def test_renewed_certificates_are_shown_by_all_and_the_shop_goes_on(
    vault: Vault, door: Client, report: list[str]
) -> None:
    release = vault.release
    by_themselves = {
        **{f"deployment/vault-{service}": port for service, port in PORTS.items()},
        **{f"pod/{pod}": 5671 for pod in await release.pods("rabbitmq")},
    }
    members = {f"pod/{pod}": 27017 for pod in await release.pods("mongodb")}
    others = {
        "deployment/vault-redis": 6379,
        "deployment/vault-jaeger": 16686,
        "deployment/vault-saga-operator": 8081,
    }
    everything = by_themselves | members | others
    former = {workload: await shown(vault, workload, port) for workload, port in everything.items()}
    begin = time.monotonic()
    await vault.certify()

    async def now(workload: str) -> bytes:
        """Nothing while its pod starts anew."""
        try:
            return await shown(vault, workload, everything[workload])
        except (CommandError, OSError):
            return b""

    async def becomes_another(workload: str) -> None:
        await until(
            lambda: now(workload),
            lambda found: found not in {b"", former[workload]},
            within=RENEWED_WITHIN,
            what=f"another certificate of {workload}",
            every=2,
            told=lambda found: "the former one" if found else "none",
        )

    for workload in by_themselves:
        await becomes_another(workload)
    took = time.monotonic() - begin
    report.append(f"          certificates renewed: {len(by_themselves)} by themselves within {took:.0f} s")
    for workload in ("statefulset/vault-mongodb", *others):
        await release.kubectl("rollout", "restart", workload)
        await release.ready(workload)
    for workload in members | others:
        await becomes_another(workload)
    await release.all_ready()
    admin, customer = await administrator(release, door), await door.register()
    tea = await admin.add_product(5)
    order = await customer.place({tea: 1})
    assert (await customer.settled(order["orderId"], within=120))["status"] == "PAID"
    await release.test()
    report.append(f"          and {len(members | others)} once they were restarted; load and books are good")
