"""Which SagaMonitors are ours: those of other releases have an operator of their own."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from saga_operator.resource import RELEASE_LABEL, Monitor


@dataclass(frozen=True)
class Owner:
    """The release that an operator belongs to. One without a release serves every monitor it sees."""

    release: str = ""
    namespace: str = ""
    order_service: str = ""
    """Name of the release's own order Service."""

    def serves(self, monitor: Monitor) -> bool:
        """Tell by the label; without one, a monitor of the release's own order service is meant for us."""
        if not self.release:
            return True
        if (release := monitor.labels.get(RELEASE_LABEL)) is not None:
            return release == self.release
        return self.owns_orders_of(monitor)

    def owns_orders_of(self, monitor: Monitor) -> bool:
        """Tell whether it watches the release's own order service."""
        watched = (monitor.spec.get("orderService") or {}).get("serviceRef") or {}
        own = (self.namespace, self.order_service)
        return all(own) and (monitor.namespace, watched.get("name")) == own


@dataclass
class Fleet:
    """The monitors that are served, as the watch showed them last."""

    _monitors: dict[tuple[str, str], Monitor] = field(default_factory=dict)

    def add(self, monitor: Monitor) -> Monitor | None:
        """Return what was known under its name."""
        before = self._monitors.get(monitor.key)
        self._monitors[monitor.key] = monitor
        return before

    def get(self, namespace: str, name: str) -> Monitor | None:
        return self._monitors.get((namespace, name))

    def has(self, monitor: Monitor) -> bool:
        """Tell whether this very object is served, and not another one of its name."""
        known = self._monitors.get(monitor.key)
        return known is not None and known.uid == monitor.uid

    def remove(self, monitor: Monitor) -> None:
        if self.has(monitor):
            del self._monitors[monitor.key]

    def __iter__(self) -> Iterator[Monitor]:
        return iter(tuple(self._monitors.values()))
