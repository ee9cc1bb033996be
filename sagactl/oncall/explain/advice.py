"""What a person on call does next: in plain words, with a command to paste where there is one."""

from collections.abc import Iterator, Sequence
from typing import Final

from sagactl.oncall.explain.explanation import Advice, Hop, HopState, Outcome, Verdict
from sagactl.oncall.explain.marks import Marks
from sagactl.wording import command_line
from services.payment.payment import RefundState

# Where `make up` started it.
LOCAL: Final = ".venv/bin/python -m dev status"
# Redriving leads on, or does no harm.
WORTH_REDRIVING: Final = frozenset({Outcome.APPLIES, Outcome.ASKS_THE_GATEWAY, Outcome.IS_RETRIED})


def advice(marks: Marks, verdict: Verdict, chain: Sequence[Hop]) -> Iterator[Advice]:
    order = marks.case.order
    if marks.case.unreadable:
        yield Advice(
            "A newer release wrote it, or somebody changed it by hand: use the sagactl of the services'"
            " release, and else compare the document with one that can be read."
        )
    for hop in chain:
        if hop.state is HopState.DEAD_LETTER:
            yield _of_letter(hop)
        elif hop.state is HopState.DISCARDED:
            yield Advice(
                f"{hop.type} was put away on purpose. If it should not have been, take it back.",
                command_line("letters restore", hop.queue, hop.id),
            )
    if any(hop.state is HopState.MISSING for hop in chain):
        yield from _of_missing(marks)
    if verdict is Verdict.WAITING:
        yield from _of_waiting(chain, is_local=marks.is_local)
    payment = marks.case.payment
    if payment is not None and any(each.state is RefundState.REFUSED for each in payment.given_back):
        yield Advice(
            "Look at the charge in the provider's books, and mend what it objects to. What it never returns"
            " is paid by another way, and settled so: POST .../refunds/{refundRequestId}/settled-outside.",
        )
    lost = {HopState.MISSING, HopState.DEAD_LETTER, HopState.DISCARDED}
    nothing_lost = not any(hop.state in lost for hop in chain)
    if verdict is Verdict.STUCK and nothing_lost and order is not None:
        yield from _of_missing(marks)
    if verdict is Verdict.CONTRADICTED:
        yield Advice("Compare what the services know of it.", command_line("orders show", marks.case.id))


def _of_letter(hop: Hop) -> Advice:
    would = hop.redrive
    if would is None or would.outcome in WORTH_REDRIVING:
        return Advice(
            "Give the dead letter another chance.", command_line("letters redrive", hop.queue, id=hop.id)
        )
    if would.outcome is Outcome.NOTHING:
        return Advice(
            "The dead letter changes nothing any more.", command_line("letters discard", hop.queue, hop.id)
        )
    return Advice(
        f"Redriving does not help yet ({would.says}). Look at the letter, and mend its cause first.",
        command_line("letters show", hop.queue, hop.id),
    )


def _of_missing(marks: Marks) -> Iterator[Advice]:
    if marks.case.order is not None:
        yield Advice(
            "Ask what mends the order, and whether anything does. It is done with --apply, and not before.",
            command_line("repair", marks.case.id),
        )


def _of_waiting(chain: Sequence[Hop], *, is_local: bool) -> Iterator[Advice]:
    consumers = {hop.consumer for hop in chain if hop.state is HopState.ON_ITS_WAY}
    publishers = {hop.publisher for hop in chain if hop.state is HopState.IN_OUTBOX}
    for service in sorted(consumers):
        yield Advice(
            f"Look whether {service} runs. If its queue moves on, and the order does not, the message is "
            "lost.",
            _what_runs(service, is_local=is_local),
        )
    for service in sorted(publishers):
        yield Advice(
            f"Look whether the broker is up, and {service} reaches it (GET /readyz).",
            _what_runs(service, is_local=is_local),
        )


def _what_runs(service: str, *, is_local: bool) -> str:
    return LOCAL if is_local else f"kubectl get pods -l app.kubernetes.io/name={service}"
