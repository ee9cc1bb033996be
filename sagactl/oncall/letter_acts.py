"""`sagactl letters discard` and `restore`: a dead letter is put away for a while, and taken back.

By the tools' own users: no service has a part in it.
"""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Final

import typer
from msgspec import structs

from sagactl.access import Access
from sagactl.documents import Document
from sagactl.faults import AbsentError
from sagactl.oncall import acting, arguments, broker, completion, discarded, trails
from sagactl.oncall.acting import Asked, Words, decided
from sagactl.oncall.broker import DeadLetter
from sagactl.oncall.redrive import discard as take_away
from sagactl.output import Form, Output, Shown, show
from sagactl.terminal import Stack, access, run
from sagactl.wording import plural
from services.shared.contract import topology
from services.shared.contract.audit import Action


class Act(StrEnum):
    DISCARD = "discard"
    RESTORE = "restore"


ACTS: Final = {
    Act.DISCARD: Action.LETTER_DELETED,
    Act.RESTORE: Action.LETTER_RESTORED,
}


class LetterAct(Document, frozen=True, kw_only=True):
    """What is done with a letter, or would be."""

    queue: str
    message: str
    type: str
    # For what it is a dead letter.
    cause: str
    act: Act
    allowed: bool = True
    # What comes of it.
    says: str
    done: bool = False

    @classmethod
    def of(cls, letter: DeadLetter, act: Act, says: str) -> "LetterAct":
        return cls(
            queue=letter.queue,
            message=letter.id,
            type=letter.type,
            cause=f"{letter.kind}: {letter.reason}",
            act=act,
            says=says,
        )

    @property
    def subject(self) -> str:
        return self.message


def discard(  # noqa: PLR0917 - a command's options
    queue: arguments.Queue,
    message: arguments.Message,
    stack: Stack = None,
    reason: arguments.Reason = None,
    dry_run: arguments.DryRun = False,  # noqa: FBT002  # an option
    yes: arguments.Yes = False,  # noqa: FBT002  # an option
    output: Form = Output.TABLE,
) -> None:
    """Discard one dead letter, such as a message of another system that no service here can handle.

    It is kept for some days, and `sagactl letters restore` takes it back.

    Exit code 0: it is discarded. 1: there is no such dead letter. 3: it was only planned.
    """
    asked = Asked(reason, dry_run, yes, output)
    act = acting.Act(ACTS[Act.DISCARD], f"Discard {message}?", find=None)
    planned, why = decided(stack, act, asked, lambda where: _discarding(where, queue, message), shown)
    run(_discard(access(stack), queue, message, why))
    show(shown(structs.replace(planned, done=True)), output)


def restore(  # noqa: PLR0917 - a command's options
    queue: arguments.Queue,
    message: Annotated[
        str,
        typer.Argument(
            help="The message's id, as `sagactl letters list --discarded` shows it.",
            metavar="MESSAGE",
            autocompletion=completion.discarded,
        ),
    ],
    stack: Stack = None,
    reason: arguments.Reason = None,
    dry_run: arguments.DryRun = False,  # noqa: FBT002  # an option
    yes: arguments.Yes = False,  # noqa: FBT002  # an option
    output: Form = Output.TABLE,
) -> None:
    """Take a discarded letter back: it becomes a dead letter of its queue again, which can be shown and
    redriven.

    To restore many at once: `sagactl jobs start restore`.

    Exit code 0: it is a dead letter, or was one already. 1: there is no such discarded letter. 3: it was
    only planned.
    """
    asked = Asked(reason, dry_run, yes, output)
    act = acting.Act(ACTS[Act.RESTORE], f"Restore {message}?", find=None)
    planned, _ = decided(stack, act, asked, lambda where: _restoring(where, queue, message), shown)
    run(discarded.put_back(access(stack), queue, [message]))
    show(shown(structs.replace(planned, done=True)), output)


async def _discarding(where: Access, queue: str, message: str) -> LetterAct:
    """Raises AbsentError where there is none."""
    letter = await broker.dead_letter(where.amqp_url, queue, message)
    if (size := len(letter.body)) > discarded.LARGEST:
        too_large = str(discarded.TooLargeError(queue, message, size))
        return structs.replace(LetterAct.of(letter, Act.DISCARD, too_large), allowed=False)
    async with discarded.opened(where.mongodb_url) as kept:
        lasting = await kept.lasting()
    return LetterAct.of(letter, Act.DISCARD, f"out of {topology.dead_letter_queue(queue)}, {_kept(lasting)}")


def _kept(lasting: timedelta | None) -> str:
    return f"kept for {plural(lasting.days, 'day')}" if lasting else "kept"


async def _discard(where: Access, queue: str, message: str, why: str) -> None:
    async with discarded.keeping(where.mongodb_url, trails.person(), why) as keep:
        await take_away(where.amqp_url, queue, {message}, keep)


async def _restoring(where: Access, queue: str, message: str) -> LetterAct:
    """It is done already where it is a dead letter, and none that is kept. Raises AbsentError where it is
    neither.
    """
    async with discarded.opened(where.mongodb_url) as kept:
        letters = await kept.of(queue, message)
    back = f"back into {topology.dead_letter_queue(queue)}"
    if letters:
        return LetterAct.of(letters[0].letter, Act.RESTORE, back)
    try:
        letter = await broker.dead_letter(where.amqp_url, queue, message)
    except AbsentError:
        raise discarded.absent(queue, message) from None
    return structs.replace(LetterAct.of(letter, Act.RESTORE, back), done=True)


def shown(found: LetterAct) -> Shown:
    where = topology.dead_letter_queue(found.queue)
    became = {
        Act.DISCARD: f"discarded: {found.message} of {where}",
        Act.RESTORE: f"restored: {found.message} is in {where}",
    }
    words = Words(
        noun="letter",
        name=f"{found.message}: {found.type or 'a message'}, {found.cause}",
        act=found.act,
        became=became[found.act],
    )
    return Shown(found, lambda _: acting.lines(found, words), [found.message])
