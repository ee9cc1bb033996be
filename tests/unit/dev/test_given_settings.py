"""What is said of a setting that cannot be, before anything is started with it."""

from contextlib import suppress
from pathlib import Path

import pytest

from dev.given import SettingError, check_own
from dev.layout import Layout
from dev.ports import Ports
from dev.stack import Stack


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("SEED", "7", "give true or false"),
        ("PORTS", "3003", "give random, or leave it out"),
        ("REPLICAS_ORDER", "many", "give a whole number of 1 or more"),
        ("REPLICAS_ORDER", "0", "give a whole number of 1 or more"),
        ("REPLICAS_MONGODB", "0", "give a whole number of 1 or more"),
        ("PORT_GATEWAY", "http", "give a whole number from 1 to 65535"),
        ("PORT_GATEWAY", "70000", "give a whole number from 1 to 65535"),
    ],
)
def test_what_the_stack_itself_reads_is_told_with_what_is_allowed(name: str, value: str, says: str) -> None:
    with pytest.raises(SettingError, match=f"^{name}: {says}\n"):
        check_own({name: value})


def test_what_is_good_or_somebody_elses_is_no_fault() -> None:
    check_own({"SEED": "no", "PORTS": "random", "REPLICAS_ORDER": "2", "PORT_GATEWAY": "8080", "PORT_X": "-"})


class LaidOut(Stack):
    """A stack that nobody starts."""

    def __init__(self, directory: Path, *, random_ports: bool = True, **settings: str) -> None:
        super().__init__(directory, settings=settings, random_ports=random_ports)
        with Ports(self._settings, at_random=True) as ports:
            self._lay_out(ports)


def test_a_service_is_told_nothing_that_it_would_not_start_with(tmp_path: Path) -> None:
    stack = LaidOut(tmp_path)
    stack.check({})
    stack.check({"PAYMENT_SUCCESS_RATE": "0.5"})
    with pytest.raises(SettingError, match=r"^PAYMENT_SUCCESS_RATE: give a number from 0 to 1\n"):
        stack.check({"PAYMENT_SUCCESS_RATE": "2"})
    stack.check({"PAYMENT_SUCCESS_RATE": "2"}, ["order"])


def test_what_all_services_say_of_a_setting_is_said_once(tmp_path: Path) -> None:
    with pytest.raises(SettingError) as refused:
        LaidOut(tmp_path, LOG_LEVEL="loud").check({"MAX_CONNECTIONS": "1"})
    *sentences, last = str(refused.value).splitlines()
    assert sorted(sentences) == [
        "LOG_LEVEL: give one of debug, info, warning, error",
        "MAX_CONNECTIONS: give a whole number from 10 to 100000",
    ]
    assert last == "nothing was changed"


async def test_what_cannot_be_is_found_before_anything_runs(tmp_path: Path) -> None:
    stack = Stack(tmp_path, settings={"LOG_LEVEL": "loud"})
    with pytest.raises(SettingError, match="LOG_LEVEL"):
        await stack.up()
    assert not stack.processes.started
    assert not stack.processes.log("mongodb").exists()


@pytest.mark.parametrize("at_random", [True, False])
def test_what_is_known_of_a_stack_is_kept_when_another_process_changes_it(
    tmp_path: Path, *, at_random: bool
) -> None:
    given = {"LOG_LEVEL": "debug"}
    with LaidOut(tmp_path, random_ports=at_random).changed("order", given):
        before = Layout.kept_in(tmp_path)
    again = Stack.laid_out_in(tmp_path)
    assert again is not None
    with again.changed("order", given):
        assert Layout.kept_in(tmp_path) == before


def test_a_change_that_fails_is_not_kept(tmp_path: Path) -> None:
    stack = LaidOut(tmp_path)
    with stack.changed("order", {"LOG_LEVEL": "debug"}):
        pass
    with suppress(LookupError), stack.changed("order", {"LOG_LEVEL": "error", "COMMIT_MAX_BATCH": "1"}):
        assert stack.setting("order", "LOG_LEVEL") == "error"
        raise LookupError
    layout = Layout.kept_in(tmp_path)
    assert layout is not None
    assert layout.environments == {"order": {"LOG_LEVEL": "debug"}}
    assert stack.setting("order", "LOG_LEVEL") == "debug"
