"""The operators' command line: the tree of its commands. It reads with users of its own.

A command is imported when it is called: whoever asks for help, or completes a word, does not wait for clients
of servers that he does not need.
"""

import re
from collections.abc import Mapping, Sequence
from importlib import import_module
from types import FunctionType
from typing import Annotated, Any, Final, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command, get_group

from sagactl.exits import EPILOG


class Place(NamedTuple):
    """Where a command, or a group of them, is; and the first sentence of its help."""

    module: str
    name: str
    help: str
    # Below which heading help names it.
    panel: str

    def loaded(self, name: str) -> Any:  # noqa: ANN401  # a command of Typer's, which names no type for all of them
        found = getattr(import_module(self.module), self.name)
        if isinstance(found, FunctionType):
            alone = typer.Typer(add_completion=False)
            alone.command(name)(found)
            return _described(get_command(alone))
        group = get_group(found)
        group.name = name
        for command in group.commands.values():
            _described(command)
        return group


def _described(command: Any) -> Any:  # noqa: ANN401  # as above
    command.help = reflowed(command.help or "")
    command.epilog = EPILOG
    return command


def reflowed(text: str) -> str:
    """Without line breaks inside paragraphs, so that the terminal's width wraps them. Lists keep theirs.

    Typer does so for the first paragraph only.
    """
    return "\n\n".join(
        each if re.search(r"^[ -]", each, re.MULTILINE) else each.replace("\n", " ")
        for each in text.split("\n\n")
    )


INSPECT: Final = "Inspect"
ACT: Final = "Act"
VERIFY: Final = "Verify"
SET_UP: Final = "Set up"

COMMANDS: Final[Mapping[str, Place]] = {
    "status": Place(
        "sagactl.oncall.status.command",
        "status",
        "Show the state of the shop: what is wrong, queues, outboxes, open orders. Only reads.",
        INSPECT,
    ),
    "explain": Place(
        "sagactl.oncall.explain.command",
        "explain",
        "Show where an order's messages are, what comes next, and what to do. Only reads.",
        INSPECT,
    ),
    "find": Place(
        "sagactl.oncall.find",
        "find",
        "Find the orders, letters and products that an id belongs to. The id must be complete.",
        INSPECT,
    ),
    "orders": Place(
        "sagactl.oncall.orders",
        "app",
        "Orders: list them, show what all services know about one, cancel or refund it.",
        INSPECT,
    ),
    "payments": Place(
        "sagactl.oncall.payments",
        "app",
        "Payments: refunds under way, and what the payment gateway did.",
        INSPECT,
    ),
    "stock": Place(
        "sagactl.oncall.stock", "app", "Stock of a product: show it, show who changed it, add to it.", INSPECT
    ),
    "queues": Place(
        "sagactl.oncall.queues", "app", "Queues: their messages, consumers and dead letters.", INSPECT
    ),
    "outbox": Place("sagactl.oncall.outbox", "app", "Events that wait to be published.", INSPECT),
    "letters": Place(
        "sagactl.oncall.letters",
        "app",
        "Dead letters: messages that cannot be handled, each with its reason.",
        INSPECT,
    ),
    "audit": Place(
        "sagactl.oncall.audit",
        "audit",
        "Show the audit trails of all services, ordered by time.",
        INSPECT,
    ),
    "diagram": Place(
        "sagactl.oncall.diagram",
        "diagram",
        "Print a Mermaid diagram of a service's states, or of the messages of one order. Only reads.",
        INSPECT,
    ),
    "mails": Place("sagactl.oncall.mails", "app", "Mails to customers.", INSPECT),
    "repair": Place(
        "sagactl.oncall.repair.command",
        "repair",
        "Print the fewest messages and commands that make inconsistent orders consistent; --apply "
        "carries them out.",
        ACT,
    ),
    "jobs": Place(
        "sagactl.oncall.jobs.command",
        "app",
        "Jobs: redrive, discard or restore many letters, and follow each to its outcome.",
        ACT,
    ),
    "stuck": Place(
        "sagactl.oncall.sweep", "app", "Stuck orders: list and compensate them by the operator's policy.", ACT
    ),
    "accounts": Place(
        "sagactl.oncall.accounts",
        "app",
        "Accounts: who has a role, and changes to any account by its e-mail address.",
        ACT,
    ),
    "customers": Place(
        "sagactl.oncall.customers", "app", "Customers: export or erase what is stored about one.", ACT
    ),
    "keys": Place("sagactl.oncall.keys", "app", "Signing keys of access tokens.", ACT),
    "check": Place(
        "sagactl.oncall.checks",
        "check_command",
        "Compare every order with stock, payments and the payment gateway's records. Only reads.",
        VERIFY,
    ),
    "replay": Place(
        "sagactl.oncall.replay.command",
        "replay",
        "Decide past orders again by this release's rules, and show each decision that differs.",
        VERIFY,
    ),
    "load": Place(
        "sagactl.load.command",
        "load",
        "Place orders at a steady rate, and report how they ended.",
        VERIFY,
    ),
    "smoke": Place(
        "sagactl.smoke.purchase",
        "smoke",
        "Buy one product, and wait until it is paid and sold. Needs ADMIN_EMAIL and ADMIN_PASSWORD.",
        VERIFY,
    ),
    "login": Place(
        "sagactl.oncall.login",
        "login",
        "Log in at a shop's gateway with your own account, and stay logged in.",
        SET_UP,
    ),
    "logout": Place(
        "sagactl.oncall.login", "logout", "End the login that is stored on this machine.", SET_UP
    ),
    "whoami": Place(
        "sagactl.oncall.login",
        "whoami",
        "Show which shop and account the commands use, and which setting says so.",
        SET_UP,
    ),
    "provision": Place(
        "sagactl.provision.accounts",
        "app",
        "Create the services' users on RabbitMQ and MongoDB; back up and restore databases.",
        SET_UP,
    ),
    "secrets": Place(
        "sagactl.provision.passwords",
        "secrets_command",
        "Print a Secret with new passwords for all bundled servers, as YAML. Reads and changes nothing.",
        SET_UP,
    ),
}
# What commands were called before they had nouns: help does not name them any more.
FORMERLY: Final[Mapping[str, str]] = {
    "order": "orders show",
    "trace": "orders trace",
    "dlq": "letters",
    "redrive": "letters redrive",
    "sweep": "stuck sweep",
}
FORMERLY_SAID: Final[Mapping[str, Sequence[str]]] = {"--json": ("-o", "json")}


class Tree(TyperGroup):
    """Knows commands by their places, and loads the one that is called."""

    def __init__(self, **attributes: Any) -> None:  # noqa: ANN401  # whatever Typer gives it
        there = {
            name: TyperCommand(name, help=place.help, rich_help_panel=place.panel)
            for name, place in COMMANDS.items()
        }
        super().__init__(**attributes | {"commands": there})

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:  # noqa: ANN401  # Typer's own, which it hides
        words = FORMERLY.get(args[0], args[0]).split()
        given = [word for each in args[1:] for word in FORMERLY_SAID.get(each, (each,))]
        name, command, rest = super().resolve_command(ctx, [*words, *given])
        return name, command if name is None else COMMANDS[name].loaded(name), rest


app = typer.Typer(cls=Tree, no_args_is_help=True, epilog=EPILOG)


def _version(wanted: bool) -> None:  # noqa: FBT001  # an option's callback
    if wanted:
        from importlib.metadata import version  # noqa: PLC0415  # as slow as a command

        typer.echo(f"sagactl {version('sagashop')}")
        raise typer.Exit


@app.callback()
def main(
    *,
    _: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Operate a shop: inspect it, verify it, repair it."""
