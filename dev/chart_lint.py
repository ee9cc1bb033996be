"""Other people's rules for manifests, held against the rendered charts; where we differ, why.

`python -m dev.chart_lint` downloads checkov, once, into an environment of its own.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from dev.helm import ROOT, run_helm

UMBRELLA = ROOT / "charts/sagashop"
CHECKOV = "checkov==3.3.30"
# Fewer would mean that it did not find the manifests.
FEWEST_PASSED = 1000
# Rules that are wrong for every object here.
NOT_OURS = {
    "CKV_K8S_15": "an exact tag or a digest does not change; always pulling it needs the registry",
    "CKV_K8S_43": "digests are a value of each image; the defaults have exact tags, which people can read",
}
# Rules that are wrong for one object, by its name.
EXCEPTIONS = {
    ("CKV_K8S_38", "shop-faults"): "it kills pods, which is what it is for",
    ("CKV_K8S_38", "shop-order"): "it asks the API server who an operator's token belongs to",
    ("CKV_K8S_38", "shop-saga-operator"): "an operator talks to the API server",
    ("CKV_K8S_40", "shop-rabbitmq"): "the official image's user is 999",
    ("CKV_K8S_40", "shop-mongodb"): "the official image's user is 999",
    ("CKV_K8S_40", "shop-redis"): "the official image's user is 999",
    ("CKV_K8S_8", "shop-smoke"): "a test runs once",
    ("CKV_K8S_9", "shop-smoke"): "a test runs once",
    ("CKV_K8S_8", "shop-verdict"): "a test runs once",
    ("CKV_K8S_9", "shop-verdict"): "a test runs once",
    ("CKV_K8S_8", "shop-sagactl"): "a shell to run commands in serves nobody",
    ("CKV_K8S_9", "shop-sagactl"): "a shell to run commands in serves nobody",
}


def uv() -> str:
    """Find uv: on the path, else where `make setup` puts it."""
    return shutil.which("uv") or str(ROOT / ".run/uv/bin/uv")


def findings(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield (rule, name of the object) for all that checkov finds in a folder of manifests."""
    # A tool of its own environment: what it pins would hold back what we depend on.
    tool = [uv(), "tool", "run", "--python", sys.executable, CHECKOV]
    options = ["--framework", "kubernetes", "--quiet", "--compact", "--output", "json"]
    command = [*tool, "--directory", str(folder), *options, "--skip-check", ",".join(NOT_OURS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - a pinned tool
    report = json.loads(done.stdout)
    if report["summary"]["parsing_errors"] or report["summary"]["passed"] < FEWEST_PASSED:
        raise SystemExit(f"checkov did not check everything: {report['summary']}")
    for found in report["results"]["failed_checks"]:
        yield found["check_id"], found["resource"].split(".")[2]


def main() -> int:
    """Return 1 where checkov finds what we did not choose, or no longer finds what we did."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for values in ("default", "external", "load", "production"):
            given = ("--namespace", "shop", "--values", UMBRELLA / f"ci/{values}-values.yaml")
            text = run_helm("template", "shop", UMBRELLA, *given)
            (folder / f"{values}.yaml").write_text(text)
        found = set(findings(folder))
    for rule, name in sorted(found - EXCEPTIONS.keys()):
        print(f"{rule}: {name}")  # noqa: T201 - what the command is for
    for rule, name in sorted(EXCEPTIONS.keys() - found):
        print(f"{rule}: {name} is an exception that is not needed")  # noqa: T201 - what the command is for
    return int(found != EXCEPTIONS.keys())


if __name__ == "__main__":
    sys.exit(main())
