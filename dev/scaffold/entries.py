"""Where services are still listed by hand: what one file has to say and no other can.

Everything else follows from these, from the contract and from the folders of `services/`. Where a list is in the
order of names, the new one gets its place there; else it comes last.
"""

import re
from collections.abc import Mapping
from typing import Final

from dev.scaffold.naming import Name
from dev.scaffold.planning import Change, Entry, text_of


def _after(template: str) -> Change:
    """What is found, and then this."""
    return lambda found, name: found[0] + text_of(template, name)


def _before(template: str) -> Change:
    return lambda found, name: text_of(template, name) + found[0]


def _among(template: str, separator: str) -> Change:
    """One more in a list within a line, which is the first group, in the order of names."""

    def change(found: re.Match[str], name: Name) -> str:
        items = sorted([*found[1].split(separator), text_of(template, name)])
        return found[0].replace(found[1], separator.join(items))

    return change


def _sorted_lines(template: str) -> Change:
    """One more line in a block of them."""

    def change(found: re.Match[str], name: Name) -> str:
        return "".join(sorted([*found[0].splitlines(keepends=True), text_of(template, name)]))

    return change


def _imported(file: str, statement: str) -> Entry:
    """Before the first import of our own; the formatter sorts them."""
    return Entry(file, r"\A(?:.*\n)*?(?=from (?:dev|sagactl|services)\b)", _after(f"{statement}\n"))


def _synced(found: re.Match[str], _: Name) -> str:
    """The same rule of `skaffold dev`, for the artifact that has come last."""
    elsewhere = dict.fromkeys(("operator", "sagactl", "console"), "/tmp")  # noqa: S108  # a pod's own
    places = {"services": "/app", **elsewhere}
    rules = ", ".join(f'{{src: "{folder}/**/*.py", dest: {place}}}' for folder, place in places.items())
    number = int(found[1]) + 1
    return f"{found[0]}      - op: add\n        path: /build/artifacts/{number}/sync\n        value: {{manual: [{rules}]}}\n"


CONTRACT: Final = "services/shared/contract/events/__init__.py"
REPLICA: Final = "dev/simulate/replica.py"
SHOP: Final = "dev/simulate/shop.py"
SKAFFOLD: Final = "skaffold.yaml"
MANAGED: Final = "k8s/values/managed.yaml"
PERMISSIONS: Final = "tests/integration/saga/test_saga_permissions.py"
ATTACKS: Final = "tests/integration/test_attacks_on_services.py"
KEYS: Final = "tests/integration/test_keys_of_services.py"
FUZZ: Final = "tests/unit/test_http_fuzz.py"
DECODERS: Final = "tests/unit/shared/test_decoders.py"
WIRE: Final = "tests/unit/shared/test_wire.py"
_MAKE: Final = "from services.<< name >>.main import make_app as make_<< name >>"
_SETTINGS: Final = "from services.<< name >>.settings import << title >>Settings"
_MAP: Final = r"^    existingSecrets: \{(.*-%s)\}$"

ENTRIES: Final = (
    # The contract.
    _imported(CONTRACT, "from services.shared.contract.events import << name >>"),
    Entry(CONTRACT, r"^_PARTS: (?:.*\n)*?(?=\})", _after('    "<< name >>": << name >>.PART,\n')),
    # On one machine, and in the simulation.
    Entry("dev/ports.py", r'^    "gateway": \d+,\n', _before('    "<< name >>": << port >>,\n')),
    _imported(REPLICA, "from services.<< name >>.domain import DOMAIN as << upper >>_DOMAIN"),
    Entry(REPLICA, r'^        "product": PRODUCTS,\n', _after('        "<< name >>": << upper >>_DOMAIN,\n')),
    _imported(SHOP, _SETTINGS),
    Entry(SHOP, r"^SETTINGS: Final = \([\w\s,]+?(?=,?\s*\)$)", _after(", << title >>Settings")),
    Entry(
        "dev/survive/rubbish.py",
        r'^    "notifications": .*\n',
        _after('    "<< name >>": ("<< upper >>_RECORDED", {"orderId": MARK}),\n'),
    ),
    # Images.
    Entry(
        "Dockerfile",
        r"^FROM dependencies AS dependencies-notification\n",
        _before("FROM dependencies AS dependencies-<< name >>\n"),
    ),
    Entry("docker-bake.hcl", r"^    service = \[(.*)\]$", _among('"<< name >>"', ", ")),
    Entry(
        SKAFFOLD,
        r"^  artifacts:\n(?:    .*\n)*",
        _after("    - image: sagashop/<< name >>\n      docker: {buildArgs: {SERVICE: << name >>}}\n"),
    ),
    Entry(
        SKAFFOLD,
        r"^( +)notification\.image\.tag: .*\n",
        _after(
            '          << name >>.image.repository: "{{.IMAGE_REPO_sagashop_<< name >>}}"\n'
            '          << name >>.image.tag: "{{.IMAGE_TAG_sagashop_<< name >>}}"\n'
        ),
    ),
    Entry(SKAFFOLD, r"(?<=        path: /build/artifacts/)(\d+)/sync\n.*\n(?=  - name: prod)", _synced),
    # Imports that nobody may make.
    Entry(
        "pyproject.toml",
        r'(?:^  "services\.\w+",\n)*^  "services\.notification",\n(?:^  "services\.\w+",\n)*',
        _sorted_lines('  "services.<< name >>",\n'),
        3,
    ),
    # Charts.
    Entry("charts/service/templates/_names.tpl", r"^notification: \d+\n", _after("<< name >>: << port >>\n")),
    Entry(
        "charts/sagashop/Chart.yaml",
        r"^  - \{name: notification, .*\n",
        _after("  - {name: << name >>, version: << version >>, condition: << name >>.enabled}\n"),
    ),
    Entry(
        "charts/sagashop/values.yaml",
        r"^saga-operator:\n",
        _before(
            "<< name >>:\n  # -- An entry of every paid order. Its values: ../<< name >>.\n  enabled: true\n"
        ),
    ),
    Entry(
        "charts/sagashop/ci/production-values.yaml",
        r"^inventory: \*service\n",
        _after("<< name >>: *service\n"),
    ),
    Entry(
        "charts/sagashop/ci/external-values.yaml",
        r"^    existingSecrets: \{(.*\bproduct: .*)\}$",
        _among("<< name >>: cache-<< name >>", ", "),
    ),
    Entry("charts/auth/values.yaml", r"^calledBy: \[[a-z, ]+(?=\]$)", _after(", << name >>")),
    Entry(
        "charts/redis/users.acl",
        r"^notification .*\n",
        _after("<< name >> ~processed:<< name >>:* +mget +evalsha +script|load +set\n"),
    ),
    Entry("charts/sagashop/rules/messaging.yaml", r'\|notifications[a-z|]*(?="\})', _after("|<< name >>")),
    Entry(
        "k8s/values/development.yaml",
        r"^notification: .*\n",
        _after("<< name >>: {development: {reload: true}}\n"),
    ),
    Entry(MANAGED, _MAP % "amqp", _among("<< name >>: << name >>-amqp", ", ")),
    Entry(MANAGED, _MAP % "mongodb", _among("<< name >>: << name >>-mongodb", ", ")),
    Entry(MANAGED, _MAP % "redis", _among("<< name >>: << name >>-redis", ", ")),
    # What people read.
    Entry(
        "dev/dashboards/boards.py",
        r"^MESSAGES: Final = Board\((?:.*\n)*?(?=    \),\n\)$)",
        _after(
            "        (\n            lines(\n"
            '                "Recorded by << name >>",\n'
            '                "Bad: none, while orders are paid.",\n'
            '                (\'sum(rate(sagashop_published_total{$ns, type="<< upper >>_RECORDED"}[$rate]))\', "recorded"),\n'
            "                unit=Unit.PER_SECOND,\n            ),\n        ),\n"
        ),
    ),
    Entry(
        "charts/README.md",
        r"\[notification\]\(notification/README\.md\)",
        _after(" [<< name >>](<< name >>/README.md)"),
    ),
    Entry(
        "docs/glossary.md",
        r"^\| `notifications` \| notification \| .*\n",
        _after("| `<< name >>` | << name >> | orders that were paid, and its own `<< upper >>_RECORDED` |\n"),
    ),
    # Tests that hold all services, or all messages, to something.
    Entry(
        "tests/charts/test_chart_network.py",
        r'^    "notification": \{"auth"\},\n',
        _after('    "<< name >>": {"auth"},\n'),
    ),
    Entry(
        PERMISSIONS,
        r"^ROUTES\b(?:.*\n)*?(?=\}$)",
        _after('    ("<< name >>", "get", "/internal/<< name >>/{order_id}"): (HIDDEN, None),\n'),
    ),
    _imported(ATTACKS, _MAKE),
    _imported(ATTACKS, _SETTINGS),
    Entry(
        ATTACKS,
        r"^TARGETS = \{\n",
        _after(
            '    "<< name >>": Target(make_<< name >>, << title >>Settings, "GET", "/internal/<< name >>/o"),\n'
        ),
    ),
    _imported(KEYS, _MAKE),
    _imported(KEYS, _SETTINGS),
    Entry(
        KEYS,
        r"^VERIFIERS: Final = \{\n",
        _after(
            '    "<< name >>": Verifier(make_<< name >>, << title >>Settings, "/internal/<< name >>/none"),\n'
        ),
    ),
    _imported(FUZZ, _MAKE),
    _imported(FUZZ, _SETTINGS),
    Entry(FUZZ, r"^APPS = \{\n", _after('    "<< name >>": shut(make_<< name >>(<< title >>Settings())),\n')),
    _imported(DECODERS, "from services.<< name >>.domain import << title >>Entry"),
    Entry(DECODERS, r"^STORED = \(", _after("<< title >>Entry, ")),
    _imported(WIRE, "from services.shared.contract.events.<< name >> import << title >>Recorded"),
    Entry(
        WIRE,
        r"^PUBLISHED = \[\n",
        _after(
            '    (<< title >>Recorded(order_id="o1"), \'{"type":"<< upper >>_RECORDED","data":{"orderId":"o1"}}\'),\n'
        ),
    ),
    Entry(
        WIRE,
        r'^        \("notifications", "ORDER_PAID"\),\n',
        _after('        ("<< name >>", "ORDER_PAID"),\n        ("<< name >>", "<< upper >>_RECORDED"),\n'),
    ),
)
# Of charts to each other: link -> where it leads.
LINKS: Final[Mapping[str, str]] = {
    "charts/<< name >>/charts/service": "../../service",
    "charts/sagashop/charts/<< name >>": "../../<< name >>",
}
