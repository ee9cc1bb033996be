"""How Prometheus scrapes a stack: `python -m dev.scraping >prometheus.yml`, with the shop's rules.

It labels what it reads as the chart's monitors do in a cluster, so that rules and dashboards are the same.
"""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from dev.services import REPOSITORY
from dev.stack import Stack

RULES: Final = REPOSITORY / "charts" / "sagashop" / "rules"
NAMESPACE: Final = "shop"
EVERY: Final = "15s"
# By queue and by exchange: what the broker's /metrics sums up, or leaves out.
DETAILED: Final = {"family": ["queue_coarse_metrics", "queue_consumer_count", "exchange_bindings"]}


def rule_files() -> Sequence[Path]:
    """The chart's."""
    return sorted(RULES.glob("*.yaml"))


def configuration(stack: Stack) -> dict[str, Any]:
    """What Prometheus is told."""
    return {
        "global": {"scrape_interval": EVERY, "evaluation_interval": EVERY},
        "rule_files": [str(file) for file in rule_files()],
        "scrape_configs": list(_jobs(stack)),
    }


def _jobs(stack: Stack) -> Iterator[Mapping[str, Any]]:
    for service in stack.services:
        replicas = [each for each in stack.replicas if each.service == service]
        targets = [
            {
                "targets": [each.url.removeprefix("http://")],
                "labels": {"namespace": NAMESPACE, "pod": each.name},
            }
            for each in replicas
        ]
        yield {"job_name": f"{NAMESPACE}/{service}", "static_configs": targets}
    if broker := stack.rabbitmq.metrics_url.removeprefix("http://"):
        labelled = {"targets": [broker], "labels": {"namespace": NAMESPACE, "pod": "rabbitmq"}}
        yield {"job_name": "rabbitmq", "static_configs": [labelled]}
        yield {
            "job_name": "rabbitmq-queues",
            "metrics_path": "/metrics/detailed",
            "params": DETAILED,
            "static_configs": [labelled],
        }


def main() -> None:
    directory = Path(sys.argv[1] if len(sys.argv) > 1 else ".run")
    stack = Stack.laid_out_in(directory)
    if stack is None:
        raise SystemExit(f"nothing runs in {directory}: make up")
    # Every YAML parser reads JSON.
    print(json.dumps(configuration(stack), indent=2))  # noqa: T201  # it is what is asked for


if __name__ == "__main__":
    main()
