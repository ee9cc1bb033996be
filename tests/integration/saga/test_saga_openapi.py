"""Every service keeps to its own description, whatever is sent (schemathesis)."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from dev.services import REPOSITORY
from tests.integration.saga.shop import Shop

EXAMPLES = 3
CHECKS = (
    "not_a_server_error",
    "content_type_conformance",
    "response_schema_conformance",
    "documented_or_a_problem",
)


@pytest.mark.parametrize(
    "service", ["auth", "order", "product", "inventory", "payment", "notification", "gateway"]
)
async def test_a_service_answers_anything_as_it_is_described(
    shop: Shop, service: str, tmp_path: Path
) -> None:
    url = shop.stack.services[service]
    headers = await shop.headers("admin")
    arguments = [
        *("run", f"{url}/openapi.json", "--url", url, "--checks", ",".join(CHECKS)),
        *("--phases", "examples,coverage,fuzzing", "--max-examples", str(EXAMPLES)),
        *("--header", f"Authorization: {headers['Authorization']}", "--request-timeout", "20"),
        *("--seed", "7", "--generation-database", "none", "--no-color"),
        # It has no end.
        *(("--exclude-path-regex", "/events$") if service in {"order", "gateway"} else ()),
    ]
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).parent / "schemathesis"),
        *arguments,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "SCHEMATHESIS_HOOKS": HOOKS},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()


HOOKS = "tests.integration.saga.schema_checks"
