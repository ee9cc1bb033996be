"""What the operator says of settings that it cannot begin with."""

import pytest

from saga_operator.main import main
from saga_operator.settings import Settings


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("METRICS_PORT", "http", "METRICS_PORT: Input should be a valid integer"),
        ("LIVENESS_PORT", "70000", "LIVENESS_PORT: Input should be less than or equal to 65535"),
        ("LOG_LEVEL", "loud", "LOG_LEVEL: Input should be 'debug', 'info', 'warning' or 'error'"),
        ("MONITOR", '{"name": "shop"}', "MONITOR.spec: Field required"),
        ("MONITOR", "shop", "MONITOR: Input should be a valid dictionary"),
    ],
)
def test_a_wrong_setting_ends_the_operator_with_a_sentence_that_names_it(
    name: str, value: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        main()
    assert str(ended.value).startswith(says)


def test_the_probe_is_served_by_either_family(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings.given().probed_at == "http://0.0.0.0:8080/healthz"
    monkeypatch.setenv("HOST", "::")
    assert Settings.given().probed_at == "http://[::]:8080/healthz"


def test_good_settings_are_taken_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCH_NAMESPACE", "shop, other")
    assert Settings.given().watch_namespace == ("shop", "other")
