"""The operators' command line: the tree of its commands. It reads with users of its own.

A command is imported when it is called: whoever asks for help, or completes a word, does not wait for clients
of servers that he does not need.
"""

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
            alone.command(name, epilog=EPILOG)(found)
            return get_command(alone)
        group = get_group(found)
        group.name = name
        for command in group.commands.values():
            command.epilog = EPILOG
        return group


LOOK: Final = "Look"
ACT: Final = "Act"
PROVE: Final = "Prove"
PLUMBING: Final = "Plumbing"

COMMANDS: Final[Mapping[str, Place]] = {
    "status": Place(
        "sagactl.oncall.status.command",
        "status",
        "Show how the shop stands: queues, outboxes, open orders, and what is wrong. Only reads.",
        LOOK,
    ),
    "explain": Place(
        "sagactl.oncall.explain.command",
        "explain",
        "Tell where an order's messages are, what comes next, and what to do. Only reads.",
        LOOK,
    ),
    "find": Place(
        "sagactl.oncall.find",
        "find",
        "Tell what something is, by its whole id: the orders, letters and products that it belongs to.",
        LOOK,
    ),
    "orders": Place(
        "sagactl.oncall.orders",
        "app",
        "Orders: which there are, what all services know of one, and what is done with it.",
        LOOK,
    ),
    "payments": Place(
        "sagactl.oncall.payments", "app", "Payments: refunds under way, and what the gateway did.", LOOK
    ),
    "stock": Place(
        "sagactl.oncall.stock", "app", "Stock of a product: how much, who changed it, and more of it.", LOOK
    ),
    "queues": Place(
        "sagactl.oncall.queues", "app", "Queues: how much waits where, and who consumes it.", LOOK
    ),
    "outbox": Place("sagactl.oncall.outbox", "app", "Events that wait to be published.", LOOK),
    "letters": Place(
        "sagactl.oncall.letters", "app", "Dead letters: messages that were given up, and why.", LOOK
    ),
    "audit": Place(
        "sagactl.oncall.audit",
        "audit",
        "Show the audit trails of all services, in the order of time.",
        LOOK,
    ),
    "diagram": Place(
        "sagactl.oncall.diagram",
        "diagram",
        "Print the states of an order as a Mermaid diagram, or the messages of one order. Only reads.",
        LOOK,
    ),
    "mails": Place("sagactl.oncall.mails", "app", "Mails to customers.", LOOK),
    "repair": Place(
        "sagactl.oncall.repair.command",
        "repair",
        "Print the fewest messages and commands that make the books sound; with --apply, carry them out.",
        ACT,
    ),
    "jobs": Place(
        "sagactl.oncall.jobs.command",
        "app",
        "Letters in bulk: planned, recorded, followed to their end.",
        ACT,
    ),
    "stuck": Place(
        "sagactl.oncall.sweep", "app", "Orders that got stuck, as the operator takes care of them.", ACT
    ),
    "accounts": Place(
        "sagactl.oncall.accounts",
        "app",
        "Accounts: the shop's own people, and any by its address.",
        ACT,
    ),
    "customers": Place(
        "sagactl.oncall.customers", "app", "Customers: what is kept of one, and its end.", ACT
    ),
    "keys": Place("sagactl.oncall.keys", "app", "Signing keys of access tokens.", ACT),
    "check": Place(
        "sagactl.oncall.checks",
        "check_command",
        "Hold every order against stock, payments and what the payment gateway did. Only reads.",
        PROVE,
    ),
    "replay": Place(
        "sagactl.oncall.replay.command",
        "replay",
        "Pass the orders' histories through this release's table, and tell what it would decide otherwise.",
        PROVE,
    ),
    "load": Place(
        "sagactl.load.command",
        "load",
        "Place orders at a steady rate, politely, and tell what came of them.",
        PROVE,
    ),
    "smoke": Place(
        "sagactl.smoke.purchase",
        "smoke",
        "Buy one thing and see it paid and sold. Needs ADMIN_EMAIL and ADMIN_PASSWORD.",
        PROVE,
    ),
    "login": Place(
        "sagactl.oncall.login",
        "login",
        "Log in at a shop's gateway with an account of your own, and stay logged in.",
        PLUMBING,
    ),
    "logout": Place(
        "sagactl.oncall.login", "logout", "End the login that is kept on this machine.", PLUMBING
    ),
    "whoami": Place(
        "sagactl.oncall.login",
        "whoami",
        "Tell which shop is asked, as whom, and what says so.",
        PLUMBING,
    ),
    "provision": Place(
        "sagactl.provision.accounts",
        "app",
        "Make the services' users on RabbitMQ and MongoDB, copy databases.",
        PLUMBING,
    ),
    "secrets": Place(
        "sagactl.provision.passwords",
        "secrets_command",
        "Print a Secret with new passwords for all that the chart bundles, as YAML. "
        "Reads and changes nothing.",
        PLUMBING,
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
    """Look after a shop: check it, look into it, and get it going again."""
