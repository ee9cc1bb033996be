"""What a stray variable of somebody's shell must not change."""

import subprocess
import sys

import pytest

from services.auth.settings import AuthSettings
from services.gateway.settings import GatewaySettings
from services.inventory.settings import InventorySettings
from services.notification.settings import NotificationSettings
from services.order.settings import OrderSettings
from services.payment.settings import PaymentSettings
from services.product.settings import ProductSettings
from services.shared.settings import Settings

SETTINGS = [
    AuthSettings,
    GatewaySettings,
    InventorySettings,
    NotificationSettings,
    OrderSettings,
    PaymentSettings,
    ProductSettings,
]
# Prints the sampler that a service has with the variables given.
SAMPLER = """
from opentelemetry import trace
from services.order.settings import OrderSettings
from services.shared import telemetry
settings = OrderSettings()
telemetry.setup(settings.service)
print(trace.get_tracer_provider().sampler.get_description())
"""


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: settings.service)
def test_the_name_of_a_service_is_no_setting(
    settings: type[Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERVICE", "web")
    monkeypatch.setenv("PAYMENT_GATEWAY", "mock")
    monkeypatch.setenv("SECRETS_KEY", "A" * 43 + "=")
    assert settings().service == settings.__name__.removesuffix("Settings").lower()


@pytest.mark.parametrize(
    ("variables", "sampler"),
    [
        ({"OTEL_TRACES_SAMPLER_ARG": "endpoint=http://somewhere"}, "ParentBased{root:AlwaysOnSampler"),
        (
            {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.05"},
            "ParentBased{root:TraceIdRatioBased{0.05}",
        ),
        ({"OTEL_TRACES_SAMPLER": "always_on", "OTEL_TRACES_SAMPLER_ARG": "7"}, "AlwaysOnSampler"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_the_sampler_is_the_one_of_the_standard_variables(variables: dict[str, str], sampler: str) -> None:
    endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    ran = subprocess.run(  # noqa: S603  # ourselves
        [sys.executable, "-c", SAMPLER], env=endpoint | variables, capture_output=True, text=True, check=True
    )
    assert ran.stdout.startswith(sampler)


def test_a_wrong_setting_ends_the_service_with_a_sentence_that_names_it_and_not_its_value(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PAYMENT_GATEWAY", "mock")
    monkeypatch.setenv("PAYMENT_SUCCESS_RATE", "s3cret")
    monkeypatch.setenv("LOG_LEVEL", "loud")
    with pytest.raises(SystemExit) as ended:
        PaymentSettings.given()
    assert str(ended.value).splitlines() == [
        "LOG_LEVEL: give one of debug, info, warning, error",
        "PAYMENT_SUCCESS_RATE: give a number from 0 to 1",
    ]


@pytest.mark.parametrize(
    ("settings", "name", "value", "says"),
    [
        (PaymentSettings, "PAYMENT_GATEWAY", "paypal", "give one of mock, stripe"),
        (PaymentSettings, "PAYMENT_SUCCESS_RATE", "1.5", "give a number from 0 to 1"),
        (PaymentSettings, "PAYMENT_DELAY_SECONDS", "-1", "give a number of 0 or more"),
        (InventorySettings, "COMPENSATION_AUTO", "perhaps", "give true or false"),
        (InventorySettings, "METRICS_PORT", "70000", "give a whole number from 1 to 65535"),
        (InventorySettings, "MAX_CONNECTIONS", "9", "give a whole number from 10 to 100000"),
        (GatewaySettings, "RATE_LIMIT_WINDOW_SECONDS", "0", "give a number above 0, 86400 at most"),
        (GatewaySettings, "UPSTREAM_TIMEOUT_SECONDS", "0", "give a number above 0"),
        (GatewaySettings, "CORS_ORIGINS", "shop.example", "give origins such as https://shop.example"),
        (
            GatewaySettings,
            "TRUSTED_PROXIES",
            "nobody",
            "'nobody' does not appear to be an IPv4 or IPv6 network",
        ),
    ],
)
def test_what_a_service_would_say_of_an_environment_is_known_before_it_starts(
    settings: type[Settings], name: str, value: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "of this process")
    good = {"PAYMENT_GATEWAY": "mock"}
    assert settings.wrong_in(good) == []
    (sentence,) = settings.wrong_in(good | {name: value})
    assert sentence.startswith(f"{name}: {says}")


def test_a_rule_of_our_own_is_told_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRETS_KEY", "A" * 43 + "=")
    monkeypatch.setenv("ADMIN_EMAIL", "admin@shop.example")
    with pytest.raises(SystemExit) as ended:
        AuthSettings.given()
    assert str(ended.value).startswith("settings: ADMIN_EMAIL")
