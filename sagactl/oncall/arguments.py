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
    typer.Argument(help="The id that its 201 gave.", metavar="ORDER", autocompletion=completion.orders),
]
Product = Annotated[
    str, typer.Argument(help="Its id.", metavar="PRODUCT", autocompletion=completion.products)
]
Mail = Annotated[
    str,
    typer.Argument(
        help="Its id, which `sagactl mails list` shows.", metavar="MAIL", autocompletion=completion.mails
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
    typer.Option("--queue", help="Only those of this queue.", callback=_known, autocompletion=_queues),
]
Message = Annotated[
    str, typer.Argument(help="Its id, which `sagactl letters list` shows.", metavar="MESSAGE")
]
Reason = Annotated[
    str | None, typer.Option("--reason", help="Why, for the audit trail. Needed to act.", metavar="TEXT")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask. Needed where nobody can be asked.")]
OfQueues = Annotated[
    list[str] | None,
    typer.Option(
        "--queue",
        help="Only those of this queue. May be given several times.",
        callback=lambda queues: [*map(_known, queues or ())],
        autocompletion=_queues,
    ),
]
