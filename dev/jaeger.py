"""How Jaeger starts here: traces in memory, loopback only, OTLP over HTTP in and its JSON API out."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dev.files import write_private
from dev.processes import Program
from dev.readiness import until_ok

MOST_TRACES = 10_000


@dataclass(frozen=True)
class Jaeger:
    directory: Path
    program: Path
    port: int
    grpc_port: int
    otlp_port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def otlp_url(self) -> str:
        return f"http://127.0.0.1:{self.otlp_port}"

    def programs(self) -> Sequence[Program]:
        self.directory.mkdir(parents=True, exist_ok=True)
        # JSON is YAML, too.
        path = write_private(self.directory / "jaeger.yaml", json.dumps(self._configuration(), indent=1))
        command = [str(self.program), "--config", f"file:{path}"]
        return [Program("jaeger", command, os.environ, self.directory)]

    async def ready(self) -> None:
        await until_ok(f"{self.url}/api/services")

    def _configuration(self) -> object:
        return {
            "service": {
                "extensions": ["jaeger_storage", "jaeger_query"],
                "pipelines": {
                    "traces": {
                        "receivers": ["otlp"],
                        "processors": ["batch"],
                        "exporters": ["jaeger_storage_exporter"],
                    }
                },
                "telemetry": {"metrics": {"level": "none"}, "logs": {"level": "warn"}},
            },
            "extensions": {
                "jaeger_storage": {"backends": {"memory": {"memory": {"max_traces": MOST_TRACES}}}},
                "jaeger_query": {
                    "storage": {"traces": "memory"},
                    "http": {"endpoint": f"127.0.0.1:{self.port}"},
                    "grpc": {"endpoint": f"127.0.0.1:{self.grpc_port}"},
                    "enable_tracing": False,
                },
            },
            "receivers": {"otlp": {"protocols": {"http": {"endpoint": f"127.0.0.1:{self.otlp_port}"}}}},
            "processors": {"batch": {"timeout": "200ms"}},
            "exporters": {"jaeger_storage_exporter": {"trace_storage": "memory"}},
        }
