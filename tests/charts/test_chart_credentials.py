"""One user a service, known to that service alone; rights as narrow as the contract of events allows."""

import base64
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from dev.helm import ROOT, RenderingError, run_helm
from dev.servers import redis_rights
from sagactl.provision import accounts, broker_rights
from sagactl.provision.passwords import new_passwords
from services.shared.contract.events import CONSUMES, CORE
from services.shared.sealing import KEY_BYTES
from services.shared.urls import with_password
from tests.charts.rendering import (
    CASES,
    CHARTS,
    GITOPS,
    NAMES,
    SERVICES,
    UMBRELLA,
    named,
    of_kind,
    pods,
    render,
)

# With what a shop may do without.
WHOLE = ("global.console.enabled=true", "global.fulfilment.enabled=true")
KEYS = {"mongodb": "MONGODB_URL", "rabbitmq": "AMQP_URL", "redis": "REDIS_URL"}
every_case = pytest.mark.parametrize(("chart", "values"), CASES, ids=NAMES)


def mounted(pod: dict[str, Any]) -> set[str]:
    """Name the Secrets that a pod mounts."""
    names = set()
    for volume in pod["spec"]["volumes"]:
        if "secret" in volume:
            names.add(volume["secret"]["secretName"])
        sources = volume.get("projected", {}).get("sources", ())
        names |= {source["secret"]["name"] for source in sources if "secret" in source}
    return names


def sources(pod: dict[str, Any], kind: str) -> Iterator[tuple[str, str]]:
    """Yield (name, key) of everything that a pod mounts by key of Secrets (`secret`) or ConfigMaps."""
    for volume in pod["spec"]["volumes"]:
        for source in volume.get("projected", {}).get("sources", ()):
            for item in source.get(kind, {}).get("items", ()):
                yield source[kind]["name"], item["key"]


def arguments(objects: tuple[dict[str, Any], ...], server: str) -> list[str]:
    """Of what makes the users on the server."""
    pod = named(objects, "Deployment", f"shop-{server}-provision")["spec"]["template"]
    [container] = pod["spec"]["containers"]
    found: list[str] = container["args"]
    return found


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_mounts_its_own_credentials_and_nobody_elses(service: str) -> None:
    pod = named(render(UMBRELLA), "Deployment", f"shop-{service}")["spec"]["template"]
    own = {f"shop-{server}-{service}" for server in KEYS}
    assert mounted(pod) <= own | {f"shop-{service}-admin", f"shop-{service}-secrets-key"}
    assert mounted(pod) & own


@every_case
def test_every_mounted_secret_is_made_or_was_given(chart: Path, values: Path | None) -> None:
    objects = render(chart, values)
    made = {found["metadata"]["name"] for found in of_kind(objects, "Secret")}
    made |= {found["spec"]["secretName"] for found in of_kind(objects, "Certificate")}
    given = values.read_text() if values else ""
    for name, pod in pods(objects):
        for secret in mounted(pod) - made:
            assert secret in given or chart != UMBRELLA, (name, secret)


@pytest.mark.parametrize(
    ("server", "users"), [("mongodb", accounts.DATABASE_USERS), ("rabbitmq", broker_rights.BROKER_USERS)]
)
def test_the_chart_makes_a_url_for_every_user_that_is_made_on_the_server(
    server: str, users: tuple[str, ...]
) -> None:
    objects = render(CHARTS / server, None, *WHOLE)
    for user in users:
        secret = named(objects, "Secret", f"shop-{server}-{user}")["stringData"]
        assert re.fullmatch(r"[A-Za-z0-9]{32}", secret["password"])
        assert f"://{user}:{secret['password']}@" in secret[KEYS[server]]
    maker = named(objects, "Deployment", f"shop-{server}-provision")
    found = maker["spec"]["template"]["spec"]["volumes"][1]["projected"]["sources"]
    assert [source["secret"]["items"][0]["path"] for source in found] == [
        f"{user}/{KEYS[server]}" for user in sorted(users)
    ]


def test_no_two_passwords_are_the_same() -> None:
    passwords = [
        secret["stringData"][key]
        for secret in of_kind(render(UMBRELLA), "Secret")
        for key in ("password", "ADMIN_PASSWORD", "keyfile", "erlang-cookie")
        if key in secret["stringData"]
    ]
    assert len(set(passwords)) == len(passwords) == 10 + 3 * len(CORE)


def test_with_given_secrets_nothing_is_generated() -> None:
    objects = render(UMBRELLA, ROOT / "k8s/values/managed.yaml")
    assert [found["metadata"]["name"] for found in of_kind(objects, "Secret")] == [
        "shop-auth-admin",
        "shop-auth-secrets-key",
    ]
    order = named(objects, "Deployment", "shop-order")["spec"]["template"]
    assert mounted(order) == {"order-mongodb", "order-amqp", "order-redis"}
    assert not [name for name, _ in pods(objects) if "provision" in name]


@every_case
def test_every_mounted_key_of_a_config_map_is_there(chart: Path, values: Path | None) -> None:
    objects = render(chart, values)
    made = {
        (found["metadata"]["name"], key) for found in of_kind(objects, "ConfigMap") for key in found["data"]
    }
    for name, pod in pods(objects):
        assert set(sources(pod, "configMap")) <= made, name


def test_two_renderings_without_a_cluster_are_the_same_to_the_byte() -> None:
    def rendered() -> str:
        return run_helm("template", "shop", UMBRELLA, "--namespace", "market", "--values", GITOPS)

    assert rendered() == rendered()


def test_one_secret_as_the_command_writes_it_is_enough_and_all_of_it_is_used() -> None:
    objects = render(UMBRELLA, GITOPS, *WHOLE)
    assert not of_kind(objects, "Secret")
    used = {found for _, pod in pods(objects) for found in sources(pod, "secret")}
    assert used == {("shop-passwords", key) for key in new_passwords("admin@shop.example")}


@pytest.mark.parametrize("name", SERVICES)
def test_of_the_one_secret_a_service_sees_its_own_passwords(name: str) -> None:
    pod = named(render(UMBRELLA, GITOPS), "Deployment", f"shop-{name}")["spec"]["template"]
    own = {f"{server}-{name}" for server in KEYS}
    others = {"ADMIN_EMAIL", "ADMIN_PASSWORD", "SECRETS_KEY"} if name == "auth" else set()
    assert {key for _, key in sources(pod, "secret")} <= own | others


@pytest.mark.parametrize("server", KEYS)
def test_what_is_put_together_in_the_pod_is_the_url_that_would_have_been_made(server: str) -> None:
    kept_apart = named(render(UMBRELLA, GITOPS), "ConfigMap", f"shop-{server}-urls")["data"]
    compared = 0
    for name, url in kept_apart.items():
        user, key = name.split(".")
        secret = "admin" if user == "root" else user
        made = named(render(UMBRELLA), "Secret", f"shop-{server}-{secret}")["stringData"]
        assert with_password(url, made["password"]) == made[key]
        compared += 1
    assert compared >= len(CONSUMES)


def test_where_nothing_may_be_made_all_that_is_missing_is_named() -> None:
    with pytest.raises(RenderingError) as refused:
        render(UMBRELLA, None, "global.secrets.generate=false")
    [sentence] = re.findall(r"nobody gives (.*): set global\.secrets\.existingSecret", str(refused.value))
    missing = sentence.split(", ")
    made = of_kind(render(UMBRELLA), "Secret")
    assert len(missing) == len(set(missing)) == len(made)
    given = [f"{value}=given" for value in missing]
    assert not of_kind(render(UMBRELLA, None, "global.secrets.generate=false", *given), "Secret")
    with pytest.raises(RenderingError, match=f"nobody gives {re.escape(missing[0])}: set"):
        render(UMBRELLA, None, "global.secrets.generate=false", *given[1:])


def test_given_urls_and_the_one_secret_go_together() -> None:
    objects = render(UMBRELLA, GITOPS, "global.mongodb.existingSecrets.order=whole")
    pod = named(objects, "Deployment", "shop-order")["spec"]["template"]
    found = set(sources(pod, "secret"))
    assert ("whole", "MONGODB_URL") in found
    assert ("shop-passwords", "rabbitmq-order") in found
    assert "order.MONGODB_URL" not in named(objects, "ConfigMap", "shop-mongodb-urls")["data"]


def test_a_virtual_host_may_hold_what_a_url_has_to_escape() -> None:
    settings = ("rabbitmq.external.vhost=eu/shop", "sagactl.toolbox.enabled=true")
    objects = render(UMBRELLA, UMBRELLA / "ci/external-values.yaml", *settings)
    url = named(objects, "Secret", "shop-rabbitmq-order")["stringData"]["AMQP_URL"]
    assert re.fullmatch(r"amqps://order:\w{32}@broker\.example\.internal:5671/eu%2Fshop", url)


def test_the_key_that_seals_outlives_the_release_as_the_database_does() -> None:
    made = named(render(UMBRELLA), "Secret", "shop-auth-secrets-key")
    assert made["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    assert len(base64.b64decode(made["stringData"]["SECRETS_KEY"])) == KEY_BYTES
    given = render(UMBRELLA, None, "auth.secretsKey.existingSecret=sealing")
    pod = named(given, "Deployment", "shop-auth")["spec"]["template"]
    assert "sealing" in mounted(pod)
    assert not [found for found in of_kind(given, "Secret") if "SECRETS_KEY" in found["stringData"]]


def test_an_external_server_gets_users_and_no_pods() -> None:
    objects = render(UMBRELLA, UMBRELLA / "ci/external-values.yaml")
    assert not of_kind(objects, "StatefulSet")
    assert arguments(objects, "rabbitmq")[-4:] == [
        "--management-url",
        "https://broker.example.internal:15671",
        "--vhost",
        "shop",
    ]
    assert "--hosts" not in arguments(objects, "mongodb")
    url = named(objects, "Secret", "shop-rabbitmq-order")["stringData"]["AMQP_URL"]
    assert re.fullmatch(r"amqps://order:\w{32}@broker\.example\.internal:5671/shop", url)


def test_queues_are_made_when_all_nodes_of_the_bundled_broker_run() -> None:
    assert arguments(render(CHARTS / "rabbitmq", None, "replicaCount=3"), "rabbitmq")[-2:] == ["--nodes", "3"]


def test_the_replica_set_is_made_from_outside_of_it() -> None:
    """One that its members made would be made twice where two of them cannot reach each other."""
    objects = render(CHARTS / "mongodb")
    given = arguments(objects, "mongodb")
    hosts = given[given.index("--hosts") + 1].split(",")
    assert hosts == [f"shop-mongodb-{n}.shop-mongodb.market.svc.cluster.local:27017" for n in range(3)]
    assert "initiate" not in str(named(objects, "StatefulSet", "shop-mongodb"))


def test_key_file_and_cookie_are_for_their_owner_alone() -> None:
    [keyfile] = named(render(UMBRELLA), "StatefulSet", "shop-mongodb")["spec"]["template"]["spec"][
        "initContainers"
    ]
    assert keyfile["command"][:3] == ["install", "-m", "400"]
    [secrets] = named(render(UMBRELLA), "StatefulSet", "shop-rabbitmq")["spec"]["template"]["spec"][
        "initContainers"
    ]
    assert "install -m 600 /run/admin/erlang-cookie /var/lib/rabbitmq/.erlang.cookie" in secrets["args"][0]


def test_redis_gives_a_user_to_every_service_that_uses_it_and_none_to_everybody() -> None:
    objects = render(UMBRELLA, None, *WHOLE)
    [server] = named(objects, "Deployment", "shop-redis")["spec"]["template"]["spec"]["containers"]
    script = [line.strip() for line in server["args"][0].splitlines()]
    assert "echo user default reset" in script
    users = {*CONSUMES, "gateway", "product", "console", "admin"}
    assert set(redis_rights()) == users
    for user, rights in redis_rights().items():
        assert f"{user} {rights}" in script
        secret = named(objects, "Secret", f"shop-redis-{user}")["stringData"]
        assert secret["REDIS_URL"] == f"redis://{user}:{secret['password']}@shop-redis.market.svc:6379/0"
    using = {
        name.removeprefix("Deployment/shop-")
        for name, pod in pods(objects)
        if pod["metadata"]["labels"].get("sagashop.io/redis-client")
    }
    assert using == users - {"admin"}


@pytest.mark.parametrize("service", CONSUMES)
def test_a_service_remembers_in_redis_what_came_by_its_own_queues(service: str) -> None:
    patterns = [rule for rule in redis_rights()[service].split() if rule.startswith(("~", "&"))]
    assert patterns == [f"~processed:{queue}:*" for queue in CONSUMES[service]]


def test_a_url_that_names_another_user_is_refused(tmp_path: Path) -> None:
    for user, name in (("order", "order"), ("payment", "order")):
        (tmp_path / user).mkdir()
        (tmp_path / user / "AMQP_URL").write_text(f"amqp://{name}:p%2Fw@host/\n")
    assert accounts.read_passwords(tmp_path, "AMQP_URL", ("order",)) == {"order": "p/w"}
    with pytest.raises(typer.BadParameter, match="of payment names the user 'order'"):
        accounts.read_passwords(tmp_path, "AMQP_URL", ("order", "payment"))


def test_a_password_beside_its_url_belongs_to_the_user_in_it(tmp_path: Path) -> None:
    (tmp_path / "order").mkdir()
    (tmp_path / "order/AMQP_URL").write_text("amqp://order@host/\n")
    (tmp_path / "order/AMQP_PASSWORD").write_text("p/w\n")
    assert accounts.read_passwords(tmp_path, "AMQP_URL", ("order",)) == {"order": "p/w"}
    (tmp_path / "connectionString.standard").write_text("mongodb://root:r@host/\n")
    assert accounts.read_url(tmp_path / "connectionString.standard") == "mongodb://root:r@host/"
