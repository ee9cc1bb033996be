"""How often, and after which pause, what ended by itself is started again."""

from dev.supervisor import BACK_OFF_SECONDS, STEADY_SECONDS, Restarts


def ends(restarts: Restarts, pid: int, *, ran: float = 0.1) -> float | None:
    """It ends after a run of so many seconds; where it is to be started again, it is, as the next pid."""
    pause = restarts.note_end(pid, ran, now=100.0)
    if pause is not None:
        restarts.note_start(pid + 1)
    return pause


def test_a_crash_loop_is_given_up_after_longer_and_longer_pauses() -> None:
    restarts = Restarts()
    pauses = [ends(restarts, pid) for pid in range(1, len(BACK_OFF_SECONDS) + 2)]
    assert pauses == [*BACK_OFF_SECONDS, None]
    assert not restarts.is_due(1e9)


def test_a_service_that_ran_for_a_while_is_started_again_soon() -> None:
    restarts = Restarts()
    assert [ends(restarts, pid) for pid in (1, 2)] == [1.0, 2.0]
    assert ends(restarts, 3, ran=STEADY_SECONDS) == 1.0


def test_what_a_person_started_meanwhile_begins_anew() -> None:
    restarts = Restarts()
    for pid in range(1, len(BACK_OFF_SECONDS) + 2):
        ends(restarts, pid)
    assert ends(restarts, 1000) == 1.0


def test_the_start_is_due_when_the_pause_is_over() -> None:
    restarts = Restarts()
    restarts.note_end(1, 0.1, now=100.0)
    assert not restarts.is_due(100.9)
    assert restarts.is_due(101.0)
