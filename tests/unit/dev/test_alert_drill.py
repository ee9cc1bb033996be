"""What a page says is typed in a shop without a cluster: all of the line but what asks the cluster."""

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dev.alert_drill import keyboard as keyboard_module
from dev.alert_drill.keyboard import Keyboard, NoClusterError, Said
from dev.runbooks import lines

EARLIER = '{"message":"retry of before"}\n'


def at_the_keyboard(tmp_path: Path, cluster: Any = None) -> Keyboard:
    names = ["payment", "payment-2", "order"]
    for name in names:
        (tmp_path / f"{name}.log").write_text(EARLIER + f'{{"message":"a retry of {name}"}}\n')
    stack: Any = SimpleNamespace(
        directory=tmp_path,
        gateway="http://shop",
        processes=SimpleNamespace(log=lambda name: tmp_path / f"{name}.log"),
        replicas=[SimpleNamespace(name=name) for name in names],
    )
    site: Any = SimpleNamespace(
        stack=stack,
        admin=SimpleNamespace(token="the-token"),
        replicas=lambda service: [name for name in names if name.partition("-")[0] == service],
    )
    shop: Any = SimpleNamespace(site=site, books={}, cluster=cluster)
    sizes = {tmp_path / f"{name}.log": len(EARLIER) for name in names}
    return Keyboard(shop, {"ORDER": "order-1"}, sizes)


@pytest.fixture
def keyboard(tmp_path: Path) -> Keyboard:
    """In a shop with two replicas of payment, whose logs were begun before."""
    return at_the_keyboard(tmp_path)


async def test_a_log_is_that_of_all_replicas_since_the_fault_and_is_searched_as_the_page_says(
    keyboard: Keyboard,
) -> None:
    said = await keyboard.type("kubectl -n shop logs deploy/shop-payment --since=5m | grep retry | tail -5")
    assert said == Said(0, '{"message":"a retry of payment"}\n{"message":"a retry of payment-2"}\n')
    last = await keyboard.type("kubectl -n shop logs deploy/shop-payment --tail=1")
    assert last == Said(0, '{"message":"a retry of payment-2"}\n')
    everybodys = await keyboard.type(
        "kubectl -n shop logs -l app.kubernetes.io/part-of=sagashop --since=6h --tail=-1 | grep -c retry"
    )
    assert everybodys == Said(0, "3\n")


async def test_words_in_capitals_are_what_they_are_in_this_shop(keyboard: Keyboard) -> None:
    said = await keyboard.type('echo $SHOP/api/orders/$ORDER -H "Bearer $TOKEN" ORDER POST  # ORDER')
    assert said == Said(0, "http://shop/api/orders/order-1 -H Bearer the-token order-1 POST\n")


async def test_what_only_a_cluster_can_do_is_not_typed(keyboard: Keyboard) -> None:
    with pytest.raises(NoClusterError, match="get pods"):
        await keyboard.type("kubectl -n shop get pods")
    with pytest.raises(NoClusterError, match="get sagamonitors"):
        await keyboard.type("kubectl -n shop get sagamonitors")


async def test_where_the_operator_is_its_api_server_answers_what_is_about_sagamonitors_and_nothing_else(
    tmp_path: Path,
) -> None:
    kubectl = tmp_path / "kubectl"
    kubectl.write_text('#!/bin/sh\necho "$KUBECONFIG: $*"\n')
    kubectl.chmod(0o755)
    environment = {"KUBECONFIG": "admin.conf", "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    keyboard = at_the_keyboard(tmp_path, SimpleNamespace(environment=environment))
    line = 'kubectl -n shop patch sagamonitor shop --type=merge -p \'{"spec": {"suspend": true}}\'  # ORDER'
    assert (await keyboard.type(line)).text == (
        'admin.conf: -n shop patch sagamonitor shop --type=merge -p {"spec": {"suspend": true}}\n'
    )
    with pytest.raises(NoClusterError, match="get pods"):
        await keyboard.type("kubectl -n shop get pods -l app.kubernetes.io/name=saga-operator")


async def test_what_goes_on_and_on_is_ended_as_by_ctrl_c(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sagactl = tmp_path / "sagactl"
    sagactl.write_text("#!/bin/sh\ntrap 'echo enough; exit 130' INT\nwhile :; do sleep 0.1; done\n")
    sagactl.chmod(0o755)
    monkeypatch.setattr(keyboard_module, "UNTIL_CTRL_C_SECONDS", 0.3)
    cluster = SimpleNamespace(environment={"PATH": os.environ["PATH"]})
    keyboard = at_the_keyboard(tmp_path, cluster)
    monkeypatch.setattr(keyboard, "_environment", {"PATH": f"{tmp_path}:{os.environ['PATH']}"})
    assert await keyboard.type("sagactl stuck sweep --every 30s") == Said(130, "enough\n")


def test_a_line_of_a_page_is_one_whatever_block_it_is_in() -> None:
    page = "```console\n$ sagactl check  # all\n```\ntext\n```bash\ncurl -s \\\n  $SHOP/api\n```\n"
    assert [*lines(page)] == ["sagactl check  # all", "curl -s    $SHOP/api"]
