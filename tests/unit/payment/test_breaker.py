"""A gateway that hangs holds up nobody for long, and is found again."""

from services.payment.breaker import Breaker

CALL = 10.0


def opened(at: float = 0) -> Breaker:
    breaker = Breaker()
    for _ in range(5):
        assert breaker.lets_through(at, CALL)
        breaker.unknown(at)
    return breaker


def test_five_unknowns_in_a_row_open_it() -> None:
    breaker = Breaker()
    for _ in range(4):
        breaker.unknown(0)
    assert breaker.lets_through(0, CALL)
    breaker.answered()
    breaker.unknown(0)
    assert breaker.lets_through(0, CALL)
    assert not opened().lets_through(4.9, CALL)


def test_then_one_call_at_a_time_finds_out_how_it_is() -> None:
    breaker = opened()
    assert breaker.lets_through(5, CALL)
    assert not breaker.lets_through(5, CALL)
    breaker.answered()
    assert not breaker.is_open
    assert breaker.lets_through(5, CALL)


def test_it_is_tried_ever_more_rarely() -> None:
    breaker, now, waited = opened(), 0.0, []
    for _ in range(6):
        pause = next(seconds for seconds in range(1, 100) if breaker.lets_through(now + seconds, CALL))
        waited.append(pause)
        now += pause
        breaker.unknown(now)
    assert waited == [5, 10, 20, 40, 60, 60]


def test_what_was_under_way_when_it_opened_puts_nothing_off() -> None:
    breaker = opened()
    for second in range(5):
        breaker.unknown(second)
    assert breaker.lets_through(5, CALL)


def test_a_call_that_died_while_finding_out_is_followed_by_another() -> None:
    breaker = opened()
    assert breaker.lets_through(5, CALL)
    assert not breaker.lets_through(14, CALL)
    assert breaker.lets_through(15, CALL)
