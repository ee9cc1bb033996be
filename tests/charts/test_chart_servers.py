"""Servers that lose a node, a volume or everything: how the charts let them come back as they were."""

import json
import os
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

from dev.helm import RenderingError
from tests.charts.rendering import CHARTS, UMBRELLA, named, of_kind, render

BEGIN = CHARTS / "rabbitmq/files/begin.sh"
JOINED = CHARTS / "rabbitmq/files/joined.sh"
NODES = ("rabbit@one", "rabbit@two", "rabbit@three")
# Stands in for the command line tool: answers as `answers/<node>` says, and writes down what it was asked.
RABBITMQCTL = """#!/bin/sh
echo "$*" >>calls
while [ "$1" != --node ]; do shift; done
read -r status said <"answers/$2"
echo "$said"
case $3 in
forget_cluster_node) echo "0 false" >"answers/$2"; exit 0 ;;
esac
exit "$status"
"""


class Machine:
    """A folder in which a node of the broker begins, and the tools that it finds there."""

    def __init__(self, folder: Path, answers: dict[str, str]) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.data = self.home / "mnesia/rabbit@one"
        for made in (self.home, folder / "answers", folder / "bin"):
            made.mkdir()
        for node, answer in answers.items():
            (folder / "answers" / node).write_text(f"{answer}\n")
        self.program("rabbitmqctl", RABBITMQCTL)
        self.program("docker-entrypoint.sh", '#!/bin/sh\necho "$*" >began\n')
        # A pause is where somebody else's answer changes.
        self.program("sleep", "#!/bin/sh\nfor file in later/*; do mv $file answers/; done\n")

    def program(self, name: str, text: str) -> None:
        file = self.folder / "bin" / name
        file.write_text(text)
        file.chmod(0o755)

    def later(self, node: str, answer: str) -> None:
        (self.folder / "later").mkdir(exist_ok=True)
        (self.folder / "later" / node).write_text(f"{answer}\n")

    def keep(self, *marks: str) -> None:
        """As a node that has been here before."""
        self.data.mkdir(parents=True)
        (self.data / "messages").write_text("kept")
        for mark in marks:
            (self.home / mark).touch()

    def begin(self) -> None:
        script = BEGIN.read_text().replace("/var/lib/rabbitmq", str(self.home))
        env = {"RABBITMQ_NODENAME": NODES[0], "NODES": " ".join(NODES)}
        path = f"{self.folder / 'bin'}:{os.environ['PATH']}"
        command = ["sh", "-c", script]
        subprocess.run(command, check=True, cwd=self.folder, env={**env, "PATH": path}, timeout=30)  # noqa: S603 - what the chart runs

    def joined(self) -> bool:
        """Whether the startup probe succeeds, while the node's port is open."""
        with socket.create_server(("localhost", 0)) as port:
            script = JOINED.read_text().replace("/var/lib/rabbitmq", str(self.home))
            env = {"MAJORITY": "2", "AMQP_PORT": str(port.getsockname()[1])}
            path = f"{self.folder / 'bin'}:{os.environ['PATH']}"
            given = {**env, "PATH": path}
            command = ["bash", "-c", script]
            done = subprocess.run(command, check=False, cwd=self.folder, env=given, timeout=30)  # noqa: S603 - what the chart runs
        return done.returncode == 0

    def opened(self, seconds: float) -> None:
        """The first probe that found the port open was so long ago."""
        mark = self.home / "open"
        mark.touch()
        os.utime(mark, (time.time() - seconds,) * 2)

    @property
    def was_ended(self) -> bool:
        """Only if it is alone, which the node itself looks at."""
        return "eval [_] = rabbit_nodes:list_members(), init:stop()." in (self.folder / "calls").read_text()

    @property
    def forgotten_by(self) -> list[str]:
        file = self.folder / "calls"
        calls = file.read_text().splitlines() if file.exists() else []
        return [call.split()[4] for call in calls if "forget_cluster_node rabbit@one" in call]

    @property
    def began(self) -> bool:
        return (self.folder / "began").exists()

    @property
    def is_joining(self) -> bool:
        return (self.home / "joining").exists()


AWAY, STRANGER, MEMBER, STARTING = "69", "0 false", "0 true", "70"


def test_a_node_that_lost_its_volume_has_the_others_forget_it_and_joins_anew(tmp_path: Path) -> None:
    machine = Machine(tmp_path, {"rabbit@two": MEMBER, "rabbit@three": STRANGER})
    machine.begin()
    assert machine.forgotten_by == ["rabbit@two"]
    assert machine.began
    assert machine.is_joining


def test_the_first_nodes_of_all_begin_without_waiting_for_each_other(tmp_path: Path) -> None:
    machine = Machine(tmp_path, {"rabbit@two": AWAY, "rabbit@three": STRANGER})
    machine.begin()
    assert machine.forgotten_by == []
    assert machine.began


def test_a_node_waits_for_one_that_cannot_say_yet_whether_it_was_a_member(tmp_path: Path) -> None:
    machine = Machine(tmp_path, {"rabbit@two": STARTING, "rabbit@three": AWAY})
    machine.later("rabbit@two", MEMBER)
    machine.begin()
    assert machine.forgotten_by == ["rabbit@two"]
    assert machine.began


def test_a_node_that_has_its_data_asks_nobody(tmp_path: Path) -> None:
    machine = Machine(tmp_path, {"rabbit@two": MEMBER, "rabbit@three": MEMBER})
    machine.keep()
    machine.begin()
    assert (machine.folder / "began").read_text() == "rabbitmq-server\n"
    assert not (machine.folder / "calls").exists()
    assert (machine.data / "messages").exists()
    assert not machine.is_joining


def test_a_node_that_founded_a_cluster_of_its_own_gives_it_up(tmp_path: Path) -> None:
    """It never was in one with the majority, so nobody has ever been served by it."""
    machine = Machine(tmp_path, {"rabbit@two": MEMBER, "rabbit@three": MEMBER})
    machine.keep("joining")
    machine.begin()
    assert not machine.data.exists()
    assert machine.forgotten_by == ["rabbit@two", "rabbit@three"]
    assert machine.began


@pytest.fixture
def alone(tmp_path: Path) -> Machine:
    """A node that is open, and not in a cluster with the majority."""
    machine = Machine(tmp_path, {})
    machine.program("rabbitmqctl", '#!/bin/sh\necho "$*" >>calls\nexit 1\n')
    return machine


def test_a_node_that_is_alone_for_a_minute_is_ended_to_ask_the_others_again(alone: Machine) -> None:
    alone.keep("joining")
    assert not alone.joined()
    assert (alone.home / "open").exists()
    alone.opened(50)
    assert not alone.joined()
    assert not alone.was_ended
    alone.opened(70)
    assert not alone.joined()
    assert alone.was_ended
    for node in NODES[1:]:
        (alone.folder / "answers" / node).write_text(f"{AWAY}\n")
    alone.program("rabbitmqctl", RABBITMQCTL)
    alone.begin()
    assert not (alone.home / "open").exists(), "the next minute begins anew"


def test_a_node_that_has_its_data_may_be_alone(alone: Machine) -> None:
    alone.keep()
    alone.opened(3_600)
    assert not alone.joined()
    assert not alone.was_ended


def test_a_node_that_is_in_a_cluster_with_the_majority_loses_its_marks(alone: Machine) -> None:
    alone.program("rabbitmqctl", '#!/bin/sh\necho "$*" >>calls\n')
    alone.keep("joining")
    alone.opened(3_600)
    assert alone.joined()
    assert not alone.was_ended
    assert not alone.is_joining
    assert not (alone.home / "open").exists()


def broker(*settings: str) -> dict[str, Any]:
    pod = named(render(UMBRELLA, None, *settings), "StatefulSet", "shop-rabbitmq")["spec"]["template"]["spec"]
    [container] = pod["containers"]
    found: dict[str, Any] = container
    return found


@pytest.mark.parametrize(("nodes", "majority"), [(3, "2"), (5, "3")])
def test_a_node_is_ready_once_it_is_in_a_cluster_with_the_majority(nodes: int, majority: str) -> None:
    container = broker(f"rabbitmq.replicaCount={nodes}")
    given = {entry["name"]: entry.get("value", "") for entry in container["env"]}
    assert given["MAJORITY"] == majority
    assert len(given["NODES"].split()) == nodes
    assert container["command"] == ["sh", "/etc/sagashop/begin.sh"]
    assert container["startupProbe"]["exec"]["command"] == ["bash", "/etc/sagashop/joined.sh"]
    config = named(render(UMBRELLA, None, f"rabbitmq.replicaCount={nodes}"), "ConfigMap", "shop-rabbitmq")[
        "data"
    ]
    assert config["begin.sh"].strip() == BEGIN.read_text().strip()
    assert config["joined.sh"].strip() == JOINED.read_text().strip()


def test_a_node_without_others_waits_for_nobody() -> None:
    container = broker()
    assert "command" not in container
    assert container["startupProbe"]["tcpSocket"] == {"port": "amqp"}


def test_a_member_of_the_database_is_ready_when_it_counts() -> None:
    """What it asks is tried on a real server in tests/integration."""
    server = named(render(UMBRELLA), "StatefulSet", "shop-mongodb")["spec"]["template"]["spec"]
    [container] = server["containers"]
    asked = (CHARTS / "mongodb/files/member.sh").read_text()
    assert container["readinessProbe"]["exec"]["command"] == ["bash", "-c", asked]
    assert container["livenessProbe"]["tcpSocket"] == {"port": "mongodb"}


@pytest.mark.parametrize("server", ["mongodb", "rabbitmq"])
def test_what_a_server_lost_is_made_again_whenever_that_is(server: str) -> None:
    objects = render(CHARTS / server)
    assert not of_kind(objects, "Job")
    maker = named(objects, "Deployment", f"shop-{server}-provision")["spec"]
    assert maker["strategy"] == {"type": "Recreate"}
    [container] = maker["template"]["spec"]["containers"]
    arguments = container["args"]
    assert "--every" in arguments
    mark = arguments[arguments.index("--mark") + 1]
    assert container["readinessProbe"]["exec"]["command"] == ["test", "-s", mark]
    assert mark in str(container["livenessProbe"])


def test_a_password_with_any_character_is_written_as_json() -> None:
    server = named(render(UMBRELLA), "StatefulSet", "shop-rabbitmq")["spec"]["template"]["spec"]
    [script] = server["initContainers"][0]["args"]
    assert json.loads(_definitions(script, user="admin", password='p"w\\x $y')) == {
        "vhosts": [{"name": "/"}],
        "users": [{"name": "admin", "password": 'p"w\\x $y', "tags": ["administrator"]}],
        "permissions": [{"user": "admin", "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"}],
    }


def _definitions(script: str, user: str, password: str) -> str:
    """Run the init container's script on this machine, in folders of its own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "admin").mkdir()
        (folder / "admin/username").write_text(user)
        (folder / "admin/password").write_text(password)
        (folder / "admin/erlang-cookie").write_text("c")
        for place, there in (("/run/admin", "admin"), ("/run/rabbitmq", "."), ("/var/lib/rabbitmq", ".")):
            script = script.replace(place, str(folder / there))
        subprocess.run(["sh", "-ceu", script], check=True)  # noqa: S603, S607 - what the chart runs
        return (folder / "definitions.json").read_text()


@pytest.mark.parametrize("server", ["mongodb", "rabbitmq"])
def test_several_members_without_volumes_are_refused(server: str) -> None:
    """Each update would empty one after the other."""
    settings = [f"{server}.replicaCount=3", f"{server}.persistence.enabled=false"]
    with pytest.raises(RenderingError, match="would lose its data"):
        render(UMBRELLA, None, *settings)
    render(UMBRELLA, None, f"{server}.replicaCount=1", f"{server}.persistence.enabled=false")


def test_queues_get_members_on_nodes_that_join_later() -> None:
    def configured(nodes: int) -> str:
        found = named(render(UMBRELLA, None, f"rabbitmq.replicaCount={nodes}"), "ConfigMap", "shop-rabbitmq")
        return str(found["data"]["20-sagashop.conf"])

    reconciliation = "quorum_queue.continuous_membership_reconciliation"
    assert reconciliation not in configured(1)
    for line in ("enabled = true", "auto_remove = false", "target_group_size = 3"):
        assert f"{reconciliation}.{line}\n" in configured(3)


def test_a_command_line_tool_reaches_all_nodes_of_the_broker() -> None:
    """`rabbitmqctl` is a node of its own, which the others answer."""
    policy = named(render(UMBRELLA), "NetworkPolicy", "shop-rabbitmq")["spec"]
    tools = {"port": 35672, "endPort": 35682, "protocol": "TCP"}
    for rules, peers in ((policy["ingress"], "from"), (policy["egress"], "to")):
        [nodes] = [rule for rule in rules if {"port": 25672, "protocol": "TCP"} in rule["ports"]]
        assert tools in nodes["ports"]
        assert nodes[peers][0]["podSelector"]["matchLabels"]["app.kubernetes.io/name"] == "rabbitmq"
