"""Arguments that several commands have, and what completes them."""

from typing import Annotated

import typer

from sagactl.oncall import broker, completion


def _known(queue: str | None) -> str | None:
    """An option's or argument's callback: only a queue that there is."""
    if queue is not None and queue not in broker.QUEUES:
        raise typer.BadParameter(f"there is no queue {queue}: there are {', '.join(broker.QUEUES)}")
    return queue


def _queues() -> list[str]:
    return list(broker.QUEUES)


Order = Annotated[
    str,
    typer.Argument(
        help="The order's id, from the answer 201.", metavar="ORDER", autocompletion=completion.orders
    ),
]
Product = Annotated[
    str, typer.Argument(help="The product's id.", metavar="PRODUCT", autocompletion=completion.products)
]
Mail = Annotated[
    str,
    typer.Argument(
        help="The mail's id, as `sagactl mails list` shows it.",
        metavar="MAIL",
        autocompletion=completion.mails,
    ),
]
Queue = Annotated[
    str,
    typer.Argument(
        help=f"One of {', '.join(broker.QUEUES)}.",
        metavar="QUEUE",
        callback=_known,
        autocompletion=_queues,
    ),
]
OfQueue = Annotated[
    str | None,
    typer.Option("--queue", help="Only messages of this queue.", callback=_known, autocompletion=_queues),
]
Message = Annotated[
    str, typer.Argument(help="The message's id, as `sagactl letters list` shows it.", metavar="MESSAGE")
]
Reason = Annotated[
    str | None, typer.Option("--reason", help="Why, for the audit trail. Needed to act.", metavar="TEXT")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show what would be done.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation. Required without a terminal.")]
OfQueues = Annotated[
    list[str] | None,
    typer.Option(
        "--queue",
        help="Only messages of this queue. May be given several times.",
        callback=lambda queues: [*map(_known, queues or ())],
        autocompletion=_queues,
    ),
]
