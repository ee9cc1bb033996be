"""A release's SagaMonitor, as kubectl shows it."""

import json
from typing import Any

from sagactl.polling import until
from tests.e2e.release import Release


class Watcher:
    """The release's SagaMonitor."""

    def __init__(self, release: Release) -> None:
        self._release = release
        self._name = release.name

    async def change(self, **spec: Any) -> None:
        await self._release.kubectl(
            "patch", "sagamonitor", self._name, "--type=merge", "--patch", json.dumps({"spec": spec})
        )

    async def status(self) -> dict[str, Any]:
        found: dict[str, Any] = (await self._release.get("sagamonitor", self._name)).get("status", {})
        return found

    async def condition(self, kind: str) -> tuple[str, str]:
        """Return (status, reason)."""
        found = await self._condition(kind)
        return found["status"], found["reason"]

    async def message(self, kind: str) -> str:
        return (await self._condition(kind))["message"]

    async def _condition(self, kind: str) -> dict[str, str]:
        conditions: dict[str, dict[str, str]] = {
            one["type"]: one for one in (await self.status()).get("conditions", ())
        }
        return conditions.get(kind, {"status": "Unknown", "reason": "", "message": ""})

    async def shows(self, kind: str, status: str, within: float = 90) -> str:
        """Wait for a condition; return its reason."""
        found = await until(
            lambda: self.condition(kind),
            lambda one: one[0] == status,
            within=within,
            what=f"{kind} to be {status}",
        )
        return found[1]

    async def table(self) -> str:
        return await self._release.kubectl("get", "sagamonitors", self._name)

    async def events(self) -> set[str]:
        found = await self._release.get(
            "events", f"--field-selector=involvedObject.kind=SagaMonitor,involvedObject.name={self._name}"
        )
        return {event["reason"] for event in found["items"]}
