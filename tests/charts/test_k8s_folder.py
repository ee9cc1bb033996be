"""k8s/: the namespace, and manifests that the sets of values name."""

import yaml

from dev.helm import ROOT


def test_the_namespace_admits_hardened_pods_only() -> None:
    namespace = yaml.safe_load((ROOT / "k8s/namespace.yaml").read_text())
    labels = namespace["metadata"]["labels"]
    assert {labels[f"pod-security.kubernetes.io/{mode}"] for mode in ("enforce", "audit", "warn")} == {
        "restricted"
    }


def test_the_values_for_the_broker_operator_name_what_it_makes() -> None:
    cluster = yaml.safe_load((ROOT / "k8s/servers/rabbitmq-cluster.yaml").read_text())
    values = yaml.safe_load((ROOT / "k8s/values/rabbitmq-cluster-operator.yaml").read_text())
    name = cluster["metadata"]["name"]
    external = values["rabbitmq"]["external"]
    assert external["host"] == name
    assert external["managementUrl"] == f"http://{name}:15672"
    assert external["existingSecret"] == f"{name}-default-user"
    [rule] = values["global"]["networkPolicy"]["externalEgress"]
    assert rule["to"][0]["podSelector"]["matchLabels"] == {"app.kubernetes.io/name": name}


def test_the_values_for_the_database_operator_name_what_it_makes() -> None:
    cluster = yaml.safe_load((ROOT / "k8s/servers/mongodb-community.yaml").read_text())
    values = yaml.safe_load((ROOT / "k8s/values/mongodb-operator.yaml").read_text())
    name, members = cluster["metadata"]["name"], cluster["spec"]["members"]
    [user] = cluster["spec"]["users"]
    external = values["mongodb"]["external"]
    assert external["hosts"] == ",".join(f"{name}-{n}.{name}-svc:27017" for n in range(members))
    assert external["options"] == f"replicaSet={name}"
    assert external["existingSecret"] == f"{name}-{user['db']}-{user['name']}"
