"""What Helm cannot do by itself, as jobs around a release: change a CRD, free what waits for the operator.

`apply-crd FILE` makes the CustomResourceDefinition what the release brings: Helm never changes one that is
there. `release` runs before an uninstall. A SagaMonitor has the operator's finalizer, so one that outlives
the operator could never be deleted. The release's own are deleted while it still runs; then the operator
is stopped, as a running one would put the finalizer back; then whatever still has it loses it.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import yaml
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException

from saga_operator.resource import FINALIZER, GROUP, PLURAL, VERSION

PATIENCE_SECONDS: Final = 60.0
"""Seconds to wait for one thing to happen."""


class StillThereError(RuntimeError):
    """An object that should have gone, or come, has not."""


def apply_crd(file: Path) -> None:
    """Apply the definition, and wait until the API server serves it. Raise StillThereError."""
    body = yaml.safe_load(file.read_text())
    api = client.ApiextensionsV1Api()
    name = body["metadata"]["name"]
    api.patch_custom_resource_definition(
        name,
        body,
        field_manager="sagashop",
        force=True,
        _content_type="application/apply-patch+yaml",
    )

    def established() -> bool:
        status = api.read_custom_resource_definition(name).status
        conditions = (status and status.conditions) or ()
        return any(one.type == "Established" and one.status == "True" for one in conditions)

    _await(f"{name} to be served", established)


def release(namespace: str, deployment: str, own: str, *, everywhere: bool) -> None:
    """Leave no SagaMonitor that waits for an operator. `own` is the label selector of those to delete."""
    for monitor in _monitors(namespace, own):
        _ignore_missing(_custom().delete_namespaced_custom_object, *_address(monitor))
    try:
        _await("the release's SagaMonitors to go", lambda: not list(_monitors(namespace, own)))
    except StillThereError as error:
        print(f"{error}: the operator did not remove its finalizer, so this job does")  # noqa: T201 - a job's log
    _stop(namespace, deployment)
    for monitor in _monitors(None if everywhere else namespace):
        kept = [entry for entry in monitor["metadata"].get("finalizers", ()) if entry != FINALIZER]
        _ignore_missing(
            _custom().patch_namespaced_custom_object,
            *_address(monitor),
            {"metadata": {"finalizers": kept, "resourceVersion": monitor["metadata"]["resourceVersion"]}},
            _content_type="application/merge-patch+json",
        )


def _stop(namespace: str, deployment: str) -> None:
    apps = client.AppsV1Api()
    scale = {"spec": {"replicas": 0}}
    _ignore_missing(apps.patch_namespaced_deployment_scale, deployment, namespace, scale)

    def stopped() -> bool:
        found = _ignore_missing(apps.read_namespaced_deployment, deployment, namespace)
        return found is None or not found.status.replicas

    _await(f"{deployment} to stop", stopped)


def _custom() -> client.CustomObjectsApi:
    return client.CustomObjectsApi()


def _monitors(namespace: str | None, labels: str = "") -> Iterator[dict[str, Any]]:
    if namespace is None:
        found = _ignore_missing(_custom().list_cluster_custom_object, GROUP, VERSION, PLURAL)
    else:
        found = _ignore_missing(
            _custom().list_namespaced_custom_object, GROUP, VERSION, namespace, PLURAL, label_selector=labels
        )
    yield from (found or {}).get("items", ())


def _address(monitor: dict[str, Any]) -> tuple[str, str, str, str, str]:
    metadata = monitor["metadata"]
    return GROUP, VERSION, metadata["namespace"], PLURAL, metadata["name"]


def _ignore_missing(call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - any call
    try:
        return call(*arguments, **options)
    except ApiException as error:
        if error.status == HTTPStatus.NOT_FOUND:
            return None
        raise


def _await(what: str, happened: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not happened():
        if time.monotonic() > end:
            raise StillThereError(f"waited {PATIENCE_SECONDS:g} s for {what}")
        time.sleep(0.5)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    applying = commands.add_parser("apply-crd")
    applying.add_argument("file", type=Path)
    releasing = commands.add_parser("release")
    for option in ("--namespace", "--deployment", "--own"):
        releasing.add_argument(option, required=True)
    releasing.add_argument("--everywhere", action="store_true")
    given = vars(parser.parse_args())
    config.load_config()  # type: ignore[no-untyped-call]  # the pod's service account, or KUBECONFIG
    if given.pop("command") == "apply-crd":
        apply_crd(**given)
    else:
        release(**given)


if __name__ == "__main__":
    main()
