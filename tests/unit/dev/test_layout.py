"""What is kept of the environment that a stack was started with."""

from dev.layout import Layout, changeable, readable, worth_keeping
from dev.services import NAMES


def test_the_settings_of_the_services_are_kept_and_nothing_else_of_somebodys_shell() -> None:
    given = {
        "PAYMENT_DELAY_SECONDS": "3",
        "REPLICAS_ORDER": "2",
        "OTEL_TRACES_SAMPLER": "always_on",
        "MONGODB_URL": "mongodb://db.example",
    }
    assert worth_keeping({**given, "AWS_SECRET_ACCESS_KEY": "x", "HOST": "laptop"}, NAMES) == given


def test_one_service_is_restarted_with_its_own_settings_and_stays_where_it_is() -> None:
    names = changeable(["payment"])
    assert {"PAYMENT_SUCCESS_RATE", "LOG_LEVEL"} <= names
    assert not names & {"PORT", "HOST", "MONGODB_URL", "AMQP_URL", "COMPENSATION_AUTO"}


def test_a_setting_that_comes_too_late_for_what_runs_is_told() -> None:
    settings = {"PAYMENT_DELAY_SECONDS": "3", "LOG_LEVEL": "info"}
    layout = Layout(
        NAMES, {}, random_ports=False, settings=settings, readable=sorted(readable(NAMES)), environments={}
    )
    assert not layout.differing({"LOG_LEVEL": "info", "EDITOR": "vi"})
    late = {"PAYMENT_DELAY_SECONDS": "4", "REPLICAS_ORDER": "2", "EDITOR": "vi"}
    assert layout.differing(late) == ["PAYMENT_DELAY_SECONDS", "REPLICAS_ORDER"]
