"""The machine behind the tables, on a toy; and that the words of the real tables fit their cells."""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from types import UnionType
from typing import Any, ClassVar, Final, NamedTuple, Union, get_args, get_origin, get_type_hints

import pytest
from msgspec import Struct

from services.inventory.steps import Ask
from services.inventory.table import LINES
from services.order.saga import SAGA
from services.payment.gateway import (
    Authorized,
    Captured,
    Declined,
    Pending,
    Refunded,
    RefundPending,
    RefundRefused,
    Voided,
)
from services.payment.payment import ChargeOutcome, RefundOutcome
from services.payment.table import PAYMENTS
from services.shared.contract.decisions import Message, Premature, Refused, Verdict
from services.shared.contract.table import (
    ATTENTION_LIMIT,
    NEW,
    STAYS,
    Attention,
    Cells,
    Contradiction,
    Duplicate,
    Forbid,
    Intent,
    Row,
    Step,
    Table,
    TooEarly,
    Watched,
    always,
    concluded,
    marked,
)

AT = datetime(2026, 1, 1, tzinfo=UTC)

# --- a door -----------------------------------------------------------------------------------------------


class Position(StrEnum):
    OPEN = "OPEN"
    SHUT = "SHUT"


class Door(Watched, frozen=True, kw_only=True):
    collection: ClassVar[str] = "doors"
    state: Position
    opened: int = 0
    updated_at: datetime = AT


class Push(Struct):
    type: ClassVar[str] = "PUSHED"
    force: int = 1


class Pull(Struct):
    type: ClassVar[str] = "PULLED"


class Knock(Struct):
    type: ClassVar[str] = "KNOCKED"


def hard(_: Door, push: Push) -> bool:
    return push.force > 1


def counted(door: Door, _: Push) -> Door:
    return Door(id=door.id, state=door.state, opened=door.opened + 1)


def creak(door: Door, _: Push | Pull) -> str:
    return f"creak {door.opened}"


OPEN, SHUT = Position.OPEN, Position.SHUT
DOORS = Table[Door, Push | Pull | Knock, str](
    {
        (NEW, Push): (TooEarly("there is no door yet"),),
        (NEW, Pull): (Step(SHUT),),
        (SHUT, Push): (Step(OPEN, counted, (creak, creak), when=hard), Step(STAYS)),
        (SHUT, Pull): (Duplicate((creak,)),),
        (SHUT, Knock): (Intent(STAYS),),
        (OPEN, Push): (Attention("pushed though it is open", counted, when=hard), Attention("touched")),
        (OPEN, Pull): (Step(SHUT),),
        (OPEN, Knock): (Forbid("come in"),),
    }
)
SHUT_DOOR = Door(id="door", state=SHUT)
OPEN_DOOR = Door(id="door", state=OPEN)


def message(body: object, id_: str = "message") -> Message:
    return Message(id=id_, source="street", body=body, at=AT)


def test_the_first_row_that_holds_is_taken_and_says_what_it_emits_of_what_it_made() -> None:
    outcome = DOORS.advance(SHUT, SHUT_DOOR, Push(force=2))
    assert (outcome.verdict, outcome.after.state) == (Verdict.APPLIED, OPEN)
    assert outcome.emitted == ("creak 1", "creak 1")


def test_what_stays_keeps_its_state() -> None:
    assert DOORS.advance(SHUT, SHUT_DOOR, Push()).after is SHUT_DOOR


def test_out_of_nothing_comes_what_the_row_says() -> None:
    assert DOORS.advance(NEW, OPEN_DOOR, Pull()).after == SHUT_DOOR


def test_a_duplicate_changes_nothing_and_is_answered_as_before() -> None:
    assert DOORS.advance(SHUT, SHUT_DOOR, Pull()) == (Verdict.DUPLICATE, SHUT_DOOR, ("creak 0",), None)


def test_a_contradiction_keeps_its_state_and_may_record_something() -> None:
    outcome = DOORS.advance(OPEN, OPEN_DOOR, Push(force=2))
    assert (outcome.verdict, outcome.contradiction) == (Verdict.ATTENTION, "pushed though it is open")
    assert (outcome.after.state, outcome.after.opened, outcome.emitted) == (OPEN, 1, ())


def test_what_is_ahead_of_its_cause_says_so() -> None:
    with pytest.raises(Premature, match="there is no door yet"):
        DOORS.advance(NEW, SHUT_DOOR, Push())


def test_an_intent_is_not_decided_on_before_it_is_performed() -> None:
    with pytest.raises(Premature, match="asked first"):
        DOORS.advance(SHUT, SHUT_DOOR, Knock())


def test_what_is_forbidden_says_what_to_do() -> None:
    with pytest.raises(Refused, match="come in"):
        DOORS.advance(OPEN, OPEN_DOOR, Knock())


def test_where_nothing_changes_it_is_a_duplicate() -> None:
    outcome = DOORS.advance(SHUT, SHUT_DOOR, Push())
    decision = concluded(SHUT_DOOR, outcome.after, outcome, message(Push()))
    assert (decision.changed, decision.verdict, decision.reply) == ((), Verdict.DUPLICATE, SHUT_DOOR)


def test_a_history_is_followed_out_of_nothing() -> None:
    assert DOORS.replay([(None, "PULLED", SHUT), (SHUT, "PUSHED", SHUT), (SHUT, "PUSHED", OPEN)]) is OPEN
    with pytest.raises(ValueError, match="entry 0: PUSHED does not lead from NEW to OPEN"):
        DOORS.replay([(None, "PUSHED", OPEN)])
    with pytest.raises(ValueError, match="has a history"):
        DOORS.replay([])


# --- attention --------------------------------------------------------------------------------------------


def test_a_contradiction_is_marked_with_what_it_was() -> None:
    door = marked(SHUT_DOOR, message(Push()), "PUSHED", ["too hard", None, "too late", "too hard"])
    assert door.attention == (
        Contradiction(AT, "PUSHED", "message", "too hard"),
        Contradiction(AT, "PUSHED", "message", "too late"),
    )


def test_the_same_message_is_marked_once() -> None:
    once = marked(SHUT_DOOR, message(Push()), "PUSHED", ["too hard"])
    assert marked(once, message(Push()), "PUSHED", ["too hard"]) is once


def test_the_latest_contradictions_are_kept() -> None:
    door = SHUT_DOOR
    for number in range(ATTENTION_LIMIT + 3):
        door = marked(door, message(Push(), f"message-{number}"), "PUSHED", ["too hard"])
    assert len(door.attention) == ATTENTION_LIMIT
    assert door.attention[0].event_id == "message-3"
    assert door.attention[-1].event_id == f"message-{ATTENTION_LIMIT + 2}"


# --- the real tables --------------------------------------------------------------------------------------


class Word(NamedTuple):
    """A function of a row, and what its cell is about."""

    function: Callable[..., Any]
    state: StrEnum
    trigger: type


# What comes in a cell that is named by a part of it.
OF_LINES: Final[Mapping[type, type]] = {kind: Ask for _, kind in LINES.cells}
OF_PAYMENTS: Final[Mapping[type, type]] = {
    **dict.fromkeys((Pending, Authorized, Captured, Declined, Voided), ChargeOutcome),
    **dict.fromkeys((Refunded, RefundPending, RefundRefused), RefundOutcome),
}


def words(cells: Cells, comes: Mapping[type, type] | None = None) -> Iterator[Word]:
    """`comes`: what comes in a cell, where that is not what the cell is named by."""
    for (state, kind), rows in cells.items():
        for row in rows:
            yield from (Word(function, state, (comes or {}).get(kind, kind)) for function in functions(row))


def functions(row: Row) -> Iterator[Callable[..., Any]]:
    yield row.when
    if isinstance(row, Step | Intent | Attention):
        yield row.record
    if isinstance(row, Step | Duplicate | Attention):
        yield from row.emit


def accepts(function: Callable[..., Any], trigger: type) -> bool:
    """By its annotation: the second parameter is what came."""
    names = function.__code__.co_varnames[: function.__code__.co_argcount]
    hint = get_type_hints(function)[names[1]]
    options = get_args(hint) if get_origin(hint) in {Union, UnionType} else (hint,)
    return any(issubclass(trigger, option) for option in options)


ALL_WORDS = [*words(SAGA.cells), *words(PAYMENTS.cells, OF_PAYMENTS), *words(LINES.cells, OF_LINES)]


def test_every_word_is_about_what_its_cell_is_about() -> None:
    """What the type checker does not see: rows of one table are about different events."""
    misplaced = [word for word in ALL_WORDS if not accepts(word.function, word.trigger)]
    assert not misplaced
    assert not accepts(hard, Pull)


@pytest.mark.parametrize("cells", [SAGA.cells, PAYMENTS.cells, LINES.cells], ids=["order", "payment", "line"])
def test_the_last_row_of_a_cell_always_holds_and_no_other_does(cells: Cells) -> None:
    for *others, last in cells.values():
        assert last.when is always
        assert all(row.when is not always for row in others)


@pytest.mark.parametrize("cells", [SAGA.cells, PAYMENTS.cells, LINES.cells], ids=["order", "payment", "line"])
def test_every_state_but_the_first_is_led_to(cells: Cells) -> None:
    led_to = {row.to for rows in cells.values() for row in rows if isinstance(row, Step | Intent)} - {STAYS}
    assert led_to == {state for state, _ in cells} - {NEW}
