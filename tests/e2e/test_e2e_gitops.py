"""As GitOps tools do: rendered without a cluster, applied on the server's side, twice, and pruned."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from dev.helm import ROOT, run_helm
from sagactl.cli import app
from sagactl.polling import until
from tests.e2e.release import CommandError, Release, packaged, run

SHOP = Release("kite", "gitops-e2e", (ROOT / "charts/sagashop/ci/gitops-values.yaml",))
# Small. The operator's definition is the whole cluster's, and another release may own it.
SETTINGS = (
    "global.tracing.enabled=false",
    "jaeger.enabled=false",
    "mongodb.replicaCount=1",
    "mongodb.persistence.enabled=false",
    "rabbitmq.persistence.enabled=false",
    "saga-operator.enabled=false",
)
CLUSTER_WIDE = ("ClusterRole", "ClusterRoleBinding")
Manifests = list[dict[str, Any]]


def options(*settings: str) -> list[str]:
    """What Helm is told."""
    values = [f"--values={file}" for file in SHOP.values]
    return ["--namespace", SHOP.namespace, *values, *(f"--set={each}" for each in (*SETTINGS, *settings))]


def rendered(*settings: str) -> Manifests:
    """Render as Argo CD does: no cluster is asked."""
    text = run_helm("template", SHOP.name, packaged(), "--skip-tests", *options(*settings))
    return [found for found in yaml.safe_load_all(text) if found]


def passwords() -> dict[str, Any]:
    """A Secret as the command writes it."""
    found: dict[str, Any] = yaml.safe_load(CliRunner().invoke(app, ["secrets"]).stdout)
    return found


async def apply(manifests: Manifests, *options: str) -> None:
    command = ("kubectl", "--namespace", SHOP.namespace, "apply", "--server-side", "--filename=-", *options)
    await run("env", "KUBECTL_APPLYSET=true", *command, stdin=yaml.safe_dump_all(manifests))


async def sync(manifests: Manifests) -> None:
    """Apply all, and prune what was applied to the namespace before and is not among them."""
    await apply([one for one in manifests if one["kind"] in CLUSTER_WIDE])
    others = [one for one in manifests if one["kind"] not in CLUSTER_WIDE]
    await apply(others, "--prune", f"--applyset={SHOP.name}")


async def state() -> dict[str, Any]:
    """Return every object of the shop, without its status and who wrote which version of it."""
    kinds = "deployments,statefulsets,jobs,services,configmaps,serviceaccounts,networkpolicies"
    found = await SHOP.get(kinds, f"--selector=app.kubernetes.io/instance={SHOP.name}")
    for one in found["items"]:
        one.pop("status", None)
        del one["metadata"]["resourceVersion"]
    return {f"{one['kind']}/{one['metadata']['name']}": one for one in found["items"]}


@pytest.fixture(scope="module")
def applied() -> Iterator[None]:
    """A shop whose manifests were applied, once, into a namespace that admits hardened pods only."""

    async def start() -> None:
        await SHOP.gone()
        namespace = yaml.safe_load((ROOT / "k8s/namespace.yaml").read_text())
        namespace["metadata"]["name"] = SHOP.namespace
        for one in (namespace, passwords()):
            await apply([one])
        await sync(rendered())
        await SHOP.all_ready()

    async def end() -> None:
        await SHOP.gone()
        await run("kubectl", "delete", "--ignore-not-found", "--filename=-", stdin=yaml.safe_dump_all(
            one for one in rendered() if one["kind"] in CLUSTER_WIDE
        ))  # fmt: skip

    asyncio.run(start())
    yield
    asyncio.run(end())


@pytest.mark.usefixtures("applied")
async def test_a_shop_that_was_rendered_without_a_cluster_sells() -> None:
    """Every password is from the one Secret, and every URL is put together in a pod."""
    assert "is PAID" in await SHOP.tool("sagactl", "smoke", "--patience", "120")
    await SHOP.tool("sagactl", "check")


@pytest.mark.usefixtures("applied")
async def test_what_is_rendered_and_applied_again_is_no_difference() -> None:
    before = await state()
    assert len(before) == len([one for one in rendered() if one["kind"] not in CLUSTER_WIDE])
    await sync(rendered())
    assert await state() == before


@pytest.mark.usefixtures("applied")
async def test_what_is_rendered_no_more_is_pruned_and_nothing_else_changes() -> None:
    before = await state()
    await sync(rendered("sagactl.toolbox.enabled=false"))
    gone = {"Deployment/kite-sagactl", "NetworkPolicy/kite-sagactl"}

    async def left() -> set[str]:
        return {*await state()}

    await until(left, lambda found: not gone & found, within=60, what="the toolbox to go")
    assert await state() == {name: one for name, one in before.items() if name not in gone}


@pytest.mark.usefixtures("applied")
async def test_a_key_that_the_secret_lacks_is_named_where_the_cluster_can_be_asked() -> None:
    half = passwords() | {"metadata": {"name": "half"}}
    for key in ("redis-order", "mongodb-keyfile"):
        del half["stringData"][key]
    await apply([half])
    dry = ("helm", "install", "other", packaged(), "--dry-run=server")
    with pytest.raises(CommandError, match="the Secret half has no mongodb-keyfile, redis-order: add"):
        await run(*dry, *options("global.secrets.existingSecret=half"))
    await run(*dry, *options())


@pytest.mark.usefixtures("applied")
async def test_a_release_that_made_its_own_cookie_does_not_get_another_one() -> None:
    """Nor another key file, nor others than the keys that seal; more of those it may have."""
    one = passwords()
    key = one["stringData"]["SECRETS_KEY"]
    moved = one["stringData"] | {"SECRETS_KEY": f"new,{key}"}
    made = {
        "rabbitmq-admin": {"erlang-cookie": one["stringData"]["rabbitmq-erlang-cookie"]},
        "mongodb-admin": {"keyfile": one["stringData"]["mongodb-keyfile"]},
        "auth-secrets-key": {"SECRETS_KEY": key},
    }
    secret = {"apiVersion": "v1", "kind": "Secret"}
    await apply(
        [
            one | {"metadata": {"name": "moved"}, "stringData": moved},
            passwords() | {"metadata": {"name": "unlike"}},
            *(secret | {"metadata": {"name": f"early-{n}"}, "stringData": data} for n, data in made.items()),
        ]
    )
    dry = ("helm", "install", "early", packaged(), "--dry-run=server")
    await run(*dry, *options("global.secrets.existingSecret=moved"))
    refusal = (
        "the Secret unlike has another SECRETS_KEY than the Secret early-auth-secrets-key, another"
        " mongodb-keyfile than the Secret early-mongodb-admin, another rabbitmq-erlang-cookie than"
    )
    with pytest.raises(CommandError, match=refusal):
        await run(*dry, *options("global.secrets.existingSecret=unlike"))
