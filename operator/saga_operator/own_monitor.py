"""The SagaMonitor that a release comes with.

The operator makes it, not the chart, which brings the kind itself: Helm could not install both at once. It
is owned by the operator's Deployment, and goes with it.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from saga_operator.cluster import RefusedError
from saga_operator.conditions import Event
from saga_operator.endpoint import ClusterUnavailable
from saga_operator.fleet import Fleet
from saga_operator.resource import GROUP, KIND, VERSION, Monitor

LOG = logging.getLogger(__name__)

APPLIED = "sagashop.io/applied-spec"
"""The spec as the operator wrote it last: what was changed by hand stays until the release says otherwise."""


class Cluster(Protocol):
    async def deployment_uid(self, namespace: str, name: str) -> str | None: ...

    async def create_monitor(self, namespace: str, body: Mapping[str, Any]) -> None: ...

    async def change_monitor(self, namespace: str, name: str, change: Mapping[str, Any]) -> None: ...

    async def post_of_deployment(self, namespace: str, name: str, uid: str, event: Event) -> None: ...


@dataclass(frozen=True)
class OwnMonitor:
    """What the release asks for."""

    namespace: str
    name: str
    labels: Mapping[str, str]
    spec: Mapping[str, Any]
    deployment: str

    def body(self, owner_uid: str) -> dict[str, Any]:
        metadata = {"name": self.name, "namespace": self.namespace, **self._metadata(owner_uid)}
        return {
            "apiVersion": f"{GROUP}/{VERSION}",
            "kind": KIND,
            "metadata": metadata,
            "spec": dict(self.spec),
        }

    def is_applied(self, shown: Monitor) -> bool:
        return shown.annotations.get(APPLIED) == self._text

    def change(self, shown: Monitor, owner_uid: str) -> dict[str, Any]:
        """Return a JSON merge patch to what is wanted. Fields that the release never named stay."""
        dropped = {field: None for field in _applied(shown) if field not in self.spec}
        return {"metadata": self._metadata(owner_uid), "spec": {**dropped, **self.spec}}

    @property
    def _text(self) -> str:
        return json.dumps(self.spec, sort_keys=True)

    def _metadata(self, owner_uid: str) -> dict[str, Any]:
        owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": self.deployment, "uid": owner_uid}
        return {
            "labels": dict(self.labels),
            "annotations": {APPLIED: self._text},
            "ownerReferences": [{**owner, "blockOwnerDeletion": False}],
        }


class Keeper:
    """Makes the monitor where it is missing, and changes it when the release's values did."""

    def __init__(self, wanted: OwnMonitor, fleet: Fleet, cluster: Cluster) -> None:
        self._wanted = wanted
        self._fleet = fleet
        self._cluster = cluster
        self._complaint = ""
        self._unavailable = False

    async def keep(self) -> None:
        """Raise nothing: what fails is tried again with the next call, and logged once per outage."""
        try:
            await self._keep()
        except ClusterUnavailable as error:
            if not self._unavailable:
                LOG.warning("the SagaMonitor %s is not applied yet: %s", self._wanted.name, error)
            self._unavailable = True
        else:
            self._unavailable = False

    async def _keep(self) -> None:
        shown = self._fleet.get(self._wanted.namespace, self._wanted.name)
        if shown is not None and self._wanted.is_applied(shown):
            return
        uid = await self._cluster.deployment_uid(self._wanted.namespace, self._wanted.deployment)
        if uid is not None:
            await self._apply(shown, uid)

    async def _apply(self, shown: Monitor | None, uid: str) -> None:
        wanted = self._wanted
        try:
            if shown is None:
                await self._cluster.create_monitor(wanted.namespace, wanted.body(uid))
            else:
                await self._cluster.change_monitor(wanted.namespace, wanted.name, wanted.change(shown, uid))
        except RefusedError as error:
            await self._complain(uid, str(error))

    async def _complain(self, uid: str, complaint: str) -> None:
        if complaint == self._complaint:
            return
        LOG.error("the SagaMonitor %s is refused: %s", self._wanted.name, complaint)
        event = Event("Warning", "SagaMonitorRefused", complaint)
        await self._cluster.post_of_deployment(self._wanted.namespace, self._wanted.deployment, uid, event)
        self._complaint = complaint


def _applied(shown: Monitor) -> Mapping[str, Any]:
    try:
        found = json.loads(shown.annotations.get(APPLIED, "{}"))
    except ValueError:  # somebody wrote it by hand
        return {}
    return found if isinstance(found, dict) else {}
