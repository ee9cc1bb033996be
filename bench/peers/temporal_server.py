"""Temporal's server, its four services in one process, as small installations run it, on PostgreSQL."""

import json
import os
import subprocess
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest, RegisterNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError

from bench.peers.postgres import USER, PostgreSQL
from dev.ports import Ports
from dev.processes import Program
from sagactl.polling import until

# In each a store's schema, as the programs call it.
STORES: Final = {"temporal": "temporal", "temporal_visibility": "visibility"}
SERVICES: Final = ("frontend", "history", "matching", "worker")
SHARDS: Final = 4
RETENTION: Final = timedelta(days=1)
STARTS_WITHIN_SECONDS: Final = 120.0


class TemporalServer(NamedTuple):
    programs: Path
    directory: Path
    ports: Mapping[str, int]
    postgres: PostgreSQL

    @classmethod
    def placed(cls, programs: Path, directory: Path, ports: Ports, postgres: PostgreSQL) -> "TemporalServer":
        names = [f"{service}-{port}" for service in SERVICES for port in ("grpc", "membership")]
        return cls(programs, directory, {name: ports.take(name) for name in names}, postgres)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.ports['frontend-grpc']}"

    def install(self) -> None:
        """Its tables. Raises CalledProcessError."""
        for database, schema in STORES.items():
            tool = [
                *(str(self.programs / "sql"), "--plugin", "postgres12", "--endpoint", "127.0.0.1"),
                *("--port", str(self.postgres.port), "--user", USER, "--database", database),
            ]
            for command in (
                ["setup-schema", "--version", "0.0"],
                ["update-schema", "--schema-name", f"postgresql/v12/{schema}"],
            ):
                subprocess.run([*tool, *command], check=True, capture_output=True)  # noqa: S603  # ours

    def program(self) -> Program:
        file = self.directory / "temporal.yaml"
        file.write_text(json.dumps(self._configuration()))  # YAML has all of JSON
        command = [str(self.programs / "server"), "--allow-no-auth", "--config-file", str(file), "start"]
        return Program("temporal", command, os.environ, self.directory)

    async def until_ready(self) -> None:
        """With the namespace `default`. Raises NotInTimeError."""

        async def answers() -> bool:
            try:
                client = await Client.connect(self.address)
                await _ensure_default(client)
            except (RPCError, RuntimeError):
                return False
            return True

        await until(answers, within=STARTS_WITHIN_SECONDS, what="Temporal answers")

    def _configuration(self) -> Mapping[str, Any]:
        return {
            "log": {"stdout": True, "level": "warn"},
            "persistence": {
                "defaultStore": "temporal",
                "visibilityStore": "temporal_visibility",
                "numHistoryShards": SHARDS,
                "datastores": {
                    name: {
                        "sql": {
                            "pluginName": "postgres12",
                            "databaseName": name,
                            "connectAddr": f"127.0.0.1:{self.postgres.port}",
                            "connectProtocol": "tcp",
                            "user": USER,
                            "maxConns": 20,
                            "maxIdleConns": 20,
                            "maxConnLifetime": "1h",
                        }
                    }
                    for name in STORES
                },
            },
            "global": {"membership": {"maxJoinDuration": "30s", "broadcastAddress": "127.0.0.1"}},
            "services": {
                name: {
                    "rpc": {
                        "grpcPort": self.ports[f"{name}-grpc"],
                        "membershipPort": self.ports[f"{name}-membership"],
                        "bindOnLocalHost": True,
                    }
                }
                for name in SERVICES
            },
            "clusterMetadata": {
                "enableGlobalNamespace": False,
                "failoverVersionIncrement": 10,
                "masterClusterName": "active",
                "currentClusterName": "active",
                "clusterInformation": {
                    "active": {
                        "enabled": True,
                        "initialFailoverVersion": 1,
                        "rpcName": "frontend",
                        "rpcAddress": self.address,
                    }
                },
            },
            "dcRedirectionPolicy": {"policy": "noop"},
        }


async def _ensure_default(client: Client) -> None:
    service, name = client.workflow_service, client.namespace
    try:
        await service.describe_namespace(DescribeNamespaceRequest(namespace=name))
    except RPCError:
        request = RegisterNamespaceRequest(namespace=name)
        request.workflow_execution_retention_period.FromTimedelta(RETENTION)
        await service.register_namespace(request)
