"""TLS between all pods: where it is on, nothing is said or heard without it."""

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from itertools import pairwise
from typing import Any
from urllib.parse import urlsplit

import pytest

from dev.helm import RenderingError
from tests.charts.rendering import (
    NAMESPACE,
    SERVICES,
    UMBRELLA,
    containers,
    environment,
    named,
    of_kind,
    pods,
    render,
)

VALUES = UMBRELLA / "ci/tls-values.yaml"
URL = re.compile(r"\b(https?|amqps?|rediss?|mongodb)://[^\s\"']+")
GIVEN = "global.tls.enabled=true", "global.tls.existingSecrets.all=shop-tls"


def by_tls() -> tuple[dict[str, Any], ...]:
    return render(UMBRELLA, VALUES)


def texts(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for each in value.values():
            yield from texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from texts(each)
    elif isinstance(value, str):
        yield value


def urls() -> Iterator[str]:
    """Wherever a pod is told to go: by its variables and arguments, and by the Secrets that it mounts."""
    secrets = (found.get("stringData") for found in of_kind(by_tls(), "Secret"))
    for text in texts([*secrets, *(pod for _, pod in pods(by_tls()))]):
        yield from (match.group() for match in URL.finditer(text))


def hosts_of(url: str) -> list[str]:
    """All of them: a URL of MongoDB has several."""
    addresses = urlsplit(url).netloc.rpartition("@")[2].split(",")
    return [address.partition(":")[0] for address in addresses]


def certified() -> list[str]:
    return [name for found in of_kind(by_tls(), "Certificate") for name in found["spec"]["dnsNames"]]


def mounted(pod: dict[str, Any]) -> dict[str, dict[str, str]]:
    """Directory -> file in it -> the Secret or ConfigMap that it comes from."""
    volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
    found: dict[str, dict[str, str]] = {}
    for container in containers(pod):
        for mount in container.get("volumeMounts", ()):
            files = found.setdefault(mount["mountPath"], {})
            for source in volumes.get(mount["name"], {}).get("projected", {}).get("sources", ()):
                for kind in {"secret", "configMap"} & source.keys():
                    named_items = source[kind].get("items", ())
                    files.update({item["path"]: source[kind]["name"] for item in named_items})
    return found


def origin(pod: dict[str, Any], file: str) -> str:
    """Whose Secret or ConfigMap a file of the pod comes from."""
    directory, _, name = file.rpartition("/")
    return mounted(pod)[directory][name]


def test_every_url_is_one_of_tls_and_names_its_server_as_the_certificate_does() -> None:
    found = sorted(set(urls()))
    assert {urlsplit(url).scheme for url in found} == {"https", "amqps", "rediss", "mongodb"}
    for url in found:
        if url.startswith("mongodb:"):
            assert url.endswith("&tls=true")
        for host in hosts_of(url):
            assert any(fnmatchcase(host, name) for name in certified()), url


def test_no_server_listens_without_tls() -> None:
    objects = by_tls()
    [mongod] = named(objects, "StatefulSet", "shop-mongodb")["spec"]["template"]["spec"]["containers"]
    assert "--tlsMode=requireTLS" in mongod["args"]
    [redis] = named(objects, "Deployment", "shop-redis")["spec"]["template"]["spec"]["containers"]
    assert "--port 0 --tls-port 6379" in redis["args"][0]
    broker = named(objects, "ConfigMap", "shop-rabbitmq")["data"]["20-sagashop.conf"]
    for listener in (
        "listeners.tcp = none",
        "prometheus.tcp.listener = none",
        "listeners.ssl.default = 5671",
        "management.ssl.port = 15671",
        "prometheus.ssl.port = 15691",
    ):
        assert listener in broker
    jaeger = named(objects, "ConfigMap", "shop-jaeger")["data"]["config.yaml"]
    assert all("tls: {cert_file" in line for line in jaeger.splitlines() if "endpoint:" in line)


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_shows_its_own_certificate_and_is_probed_by_tls(service: str) -> None:
    pod = named(by_tls(), "Deployment", f"shop-{service}")["spec"]["template"]
    told = environment(pod)
    for name in ("TLS_CERT_FILE", "TLS_KEY_FILE", "SSL_CERT_FILE"):
        assert origin(pod, told[name]) == f"shop-{service}-tls"
    [container] = pod["spec"]["containers"]
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"]["scheme"] == "HTTPS"
    ports = named(by_tls(), "Service", f"shop-{service}")["spec"]["ports"]
    assert {port["appProtocol"] for port in ports} == {"https"}
    assert told["OTEL_EXPORTER_OTLP_CERTIFICATE"] == told["SSL_CERT_FILE"]


def believing(objects: tuple[dict[str, Any], ...]) -> dict[str, str]:
    """Each pod that is a client of others -> where the authorities come from that it believes."""
    found = {}
    for owner, pod in pods(objects):
        for container in containers(pod):
            told = {entry["name"]: entry.get("value") for entry in container.get("env", ())}
            if file := told.get("SSL_CERT_FILE"):
                found[re.sub(r"-[0-9a-f]{8}$", "", owner)] = origin(pod, file)
    return found


CLIENTS = {
    *(f"Deployment/shop-{name}" for name in (*SERVICES, "saga-operator", "sagactl")),
    *(f"Deployment/shop-{server}-provision" for server in ("mongodb", "rabbitmq")),
    "Pod/shop-smoke",
}


def test_all_who_call_others_believe_the_authority_of_the_certificates() -> None:
    found = believing(by_tls())
    assert found.keys() == CLIENTS
    assert all(secret.endswith("-tls") for secret in found.values())


def test_the_metrics_of_all_are_scraped_by_tls() -> None:
    monitors = of_kind(by_tls(), "PodMonitor", "ServiceMonitor")
    assert monitors
    for monitor in monitors:
        name = monitor["metadata"]["name"]
        for endpoint in monitor["spec"].get("podMetricsEndpoints") or monitor["spec"]["endpoints"]:
            assert endpoint["scheme"] == "https"
            assert endpoint["tlsConfig"] == {
                "serverName": name,
                "ca": {"secret": {"name": f"{name}-tls", "key": "ca.crt"}},
            }
        assert name in certified()


def test_the_load_generator_is_asked_by_tls_and_believes_the_shop() -> None:
    objects = render(UMBRELLA, VALUES, "load.enabled=true")
    pod = named(objects, "Deployment", "shop-load")["spec"]["template"]
    [container] = pod["spec"]["containers"]
    told = dict(pairwise(container["command"]))
    assert origin(pod, told["--certificate"]) == origin(pod, told["--key"]) == "shop-load-tls"
    assert container["readinessProbe"]["httpGet"]["scheme"] == "HTTPS"
    assert believing(objects).keys() == CLIENTS | {"Deployment/shop-load", "Pod/shop-verdict"}
    verdict = named(objects, "Pod", "shop-verdict")
    [container] = verdict["spec"]["containers"]
    assert dict(pairwise(container["command"]))["--accepted"] == "https://shop-load:9090/accepted"
    assert "shop-load" in named(objects, "Certificate", "shop-load")["spec"]["dnsNames"]


def test_every_member_of_the_database_is_certified_by_its_own_name() -> None:
    [members] = [name for name in certified() if name.startswith("*")]
    assert members == f"*.shop-mongodb.{NAMESPACE}.svc.cluster.local"


def test_with_given_secrets_nothing_is_asked_of_cert_manager() -> None:
    objects = render(UMBRELLA, None, *GIVEN, "global.tls.existingSecrets.gateway=public")
    assert not of_kind(objects, "Certificate")
    shown = {
        service: origin(pod, environment(pod)["TLS_CERT_FILE"])
        for service in SERVICES
        for pod in [named(objects, "Deployment", f"shop-{service}")["spec"]["template"]]
    }
    assert shown == {service: "public" if service == "gateway" else "shop-tls" for service in SERVICES}


def test_tls_without_anybody_who_makes_certificates_is_refused() -> None:
    with pytest.raises(RenderingError, match=r"nobody makes the certificate of \S+: set global\.tls\.issuer"):
        render(UMBRELLA, None, "global.tls.enabled=true")


@pytest.mark.parametrize("kind", ["configMap", "secret"])
def test_authorities_of_ones_own_are_believed_by_all_with_tls_inside_and_without(kind: str) -> None:
    bundle = f"global.tls.caBundle.{kind}=trusted", "sagactl.toolbox.enabled=true"
    for settings in (bundle, (*bundle, *GIVEN)):
        assert believing(render(UMBRELLA, None, *settings)) == dict.fromkeys(CLIENTS, "trusted")


def test_as_it_comes_nobody_is_told_of_certificates() -> None:
    assert not believing(render(UMBRELLA))
