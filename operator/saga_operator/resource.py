"""The names that the operator and the CRD agree on, and a SagaMonitor as the watch shows it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

GROUP = "sagashop.io"
VERSION = "v1alpha1"
KIND = "SagaMonitor"
PLURAL = "sagamonitors"

SWEEP_REQUEST = "sagashop.io/sweep-requested-at"
RELEASE_LABEL = "sagashop.io/release"
"""Whose operator serves a SagaMonitor, where its order service does not tell."""

FINALIZER = "sagashop.io/saga-operator"
"""Earlier operators put it on every SagaMonitor. kopf takes it off, as no handler of ours needs one."""


@dataclass(frozen=True)
class Monitor:
    """A SagaMonitor as it was shown last."""

    namespace: str
    name: str
    uid: str
    generation: int
    spec: Mapping[str, Any]
    status: Mapping[str, Any]
    labels: Mapping[str, str]
    annotations: Mapping[str, str]

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Self:
        meta = body["metadata"]
        return cls(
            namespace=meta["namespace"],
            name=meta["name"],
            uid=meta["uid"],
            generation=int(meta["generation"]),
            spec=body.get("spec") or {},
            status=body.get("status") or {},
            labels=meta.get("labels") or {},
            annotations=meta.get("annotations") or {},
        )

    @property
    def key(self) -> tuple[str, str]:
        return self.namespace, self.name

    @property
    def sweep_request(self) -> str | None:
        return self.annotations.get(SWEEP_REQUEST)

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"
