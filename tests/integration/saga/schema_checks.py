"""For schemathesis: what an answer has to be, beside what its description says; and a run in this process."""

import os
from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any

import schemathesis
import schemathesis.cli
from click.testing import CliRunner
from schemathesis import Case, CheckContext, Response

MEDIA_TYPE = "application/problem+json"


@schemathesis.check
def documented_or_a_problem(_: CheckContext, response: Response, case: Case[Any]) -> None:
    """Errors that every route may give, as 401, are not repeated in its description."""
    if case.method.upper() == "OPTIONS" and response.status_code == HTTPStatus.NO_CONTENT:
        assert "allow" in response.headers  # what every path answers is not repeated in its description
        return
    documented = case.operation.definition.raw.get("responses", {})
    if str(response.status_code) in documented and response.status_code < 400:
        return
    found = response.headers.get("content-type", ["nothing"])[0]
    if found != MEDIA_TYPE:
        raise AssertionError(f"{response.status_code} is not described, and comes as {found}")
    problem = response.json()
    if problem["status"] != response.status_code or not problem["detail"]:
        raise AssertionError(f"a problem says what is wrong: {problem}")


def prepare(directory: Path) -> None:
    """A process that makes runs loads the checks of this module, and keeps what it writes in `directory`."""
    os.environ["SCHEMATHESIS_HOOKS"] = __name__
    os.chdir(directory)


def run(arguments: Sequence[str]) -> tuple[int, str]:
    """What `schemathesis`, given these arguments, ends with and prints."""
    result = CliRunner().invoke(schemathesis.cli.schemathesis, arguments)
    return result.exit_code, result.output
