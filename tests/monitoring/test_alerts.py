"""Every alert, by promtool: it fires for its fault, not before it nor for what comes near, and resolves."""

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
import yaml

from dev.helm import ROOT
from dev.prometheus import program
from services.shared.contract.events import CONSUMES, CORE, OPTIONAL
from tests.monitoring.rules import ALERTS, FILES

SHOP: Final = 'namespace="shop"'
GATEWAY: Final = f'{SHOP},job="shop/shop-gateway"'
ORDER: Final = f'{SHOP},job="shop/shop-order"'
ORDERING: Final = f'{GATEWAY},method="POST",route="/api/orders"'
AUTH: Final = f'{SHOP},job="shop/shop-auth"'
TELLING: Final = f'{SHOP},job="shop/shop-notification"'
MONITOR: Final = f'{SHOP},name="shop"'
CREATED: Final = f'sagashop_order_transitions_total{{{ORDER},from="none",to="PENDING"}}'
IN_TIME: Final = f'sagashop_saga_duration_seconds_bucket{{{ORDER},outcome="PAID",le="10.0"}}'
HTTP: Final = "sagashop_http_request_duration_seconds"
AGE: Final = "sagashop_event_age_seconds_bucket"
AWAY: Final = "sagashop_payment_gateway_away"
PAYING: Final = "sagashop_payment_gateway_duration_seconds"
LAST: Final = "sagamonitor_last_successful_sweep_timestamp_seconds"
INFO: Final = "sagamonitor_info"
ORDERS: Final = f'{ORDER},queue="orders"'
UNSENT: Final = f'sagashop_publish_failures_total{{{ORDER},type="ORDER_PAID"'
BINDINGS: Final = f'rabbitmq_cluster_exchange_bindings{{{SHOP},vhost="/",type="topic"'
AVAILABLE, CAPACITY = "kubelet_volume_stats_available_bytes", "kubelet_volume_stats_capacity_bytes"
CAPTURE: Final = f'{SHOP},call="capture",result="answered"'
DATA: Final = f'{SHOP},persistentvolumeclaim="data-shop-mongodb-0"'
PHOTOS: Final = f'{SHOP},persistentvolumeclaim="photos"'


class Case(NamedTuple):
    """Series in promtool's notation, by a sample a minute (or `every`); when it is asked, in those steps."""

    alert: str
    labels: Mapping[str, str]
    fault: Mapping[str, str]
    before: int
    during: int
    after: int
    # Comes near, and is asked at the same times.
    near: Mapping[str, str]
    every: str = "1m"


CASES: Final = [
    Case(
        "SagashopOrdersLateFast",
        {},
        {CREATED: "0+10x400", IN_TIME: "0+10x120 1200x59 1210+10x200"},
        *(119, 150, 225),
        near={CREATED: "0+10x400", IN_TIME: "0+9.9x400"},
    ),
    Case(
        "SagashopOrdersLateFast",
        {},
        {CREATED: "0+10x400", IN_TIME: "0+10x120 1200x59 1210+10x200"},
        *(119, 150, 225),
        near={CREATED: "0+0.2x400", IN_TIME: "0x400"},
    ),
    Case(
        "SagashopOrdersLateSlow",
        {},
        {CREATED: "0+100x700", IN_TIME: "0+100x144 14400+98x144 28512+100x300"},
        *(144, 280, 340),
        near={CREATED: "0+100x700", IN_TIME: "0+99.6x700"},
        every="10m",
    ),
    Case(
        "SagashopGatewayErrorsFast",
        {},
        {
            f'{HTTP}_count{{{ORDERING},status="201"}}': "0+100x400",
            f'{HTTP}_count{{{ORDERING},status="503"}}': "0x120 0+5x59 295x200",
        },
        *(119, 150, 225),
        near={
            f'{HTTP}_count{{{ORDERING},status="201"}}': "0+100x400",
            f'{HTTP}_count{{{ORDERING},status="429"}}': "0+50x400",
            f'{HTTP}_count{{{GATEWAY},route="/readyz",status="503"}}': "0+50x400",
            f'{HTTP}_count{{{ORDER},route="/api/orders",status="503"}}': "0+50x400",
        },
    ),
    Case(
        "SagashopGatewayErrorsSlow",
        {},
        {
            f'{HTTP}_count{{{ORDERING},status="201"}}': "0+1000x700",
            f'{HTTP}_count{{{ORDERING},status="503"}}': "0x144 0+4x144 576x300",
        },
        *(144, 280, 340),
        near={
            f'{HTTP}_count{{{ORDERING},status="201"}}': "0+1000x700",
            f'{HTTP}_count{{{ORDERING},status="503"}}': "0+0.5x700",
        },
        every="10m",
    ),
    Case(
        "SagashopOrderingSlow",
        {},
        {
            f'{HTTP}_bucket{{{ORDERING},status="201",le="1.0"}}': "0+10x60 600x40 610+10x60",
            f'{HTTP}_bucket{{{ORDERING},status="201",le="2.5"}}': "0+10x200",
            f'{HTTP}_bucket{{{ORDERING},status="201",le="+Inf"}}': "0+10x200",
        },
        *(58, 90, 125),
        near={
            f'{HTTP}_bucket{{{ORDERING},status="201",le="1.0"}}': "0+10x200",
            f'{HTTP}_bucket{{{ORDERING},status="201",le="+Inf"}}': "0+10x200",
            f'{HTTP}_bucket{{{GATEWAY},method="GET",route="/api/orders",status="200",le="2.5"}}': "0+10x200",
            f'{HTTP}_bucket{{{GATEWAY},method="GET",route="/api/orders",status="200",le="+Inf"}}': "0+10x200",
        },
    ),
    Case(
        "SagashopOrdersStuck",
        {"status": "CONFIRMED"},
        {f'sagashop_orders_oldest_seconds{{{ORDER},status="CONFIRMED"}}': "5x10 540+60x20 0x20"},
        *(10, 25, 35),
        near={
            f'sagashop_orders_oldest_seconds{{{ORDER},status="CONFIRMED"}}': "600x60",
            # The operator's turn comes after 15 minutes.
            f'sagashop_orders_oldest_seconds{{{ORDER},status="PENDING"}}': "1200x60",
            f'sagashop_orders_oldest_seconds{{{ORDER},status="REFUNDING"}}': "5000x60",
        },
    ),
    Case(
        "SagashopOrdersStuck",
        {"status": "PENDING"},
        {f'sagashop_orders_oldest_seconds{{{ORDER},status="PENDING"}}': "5x10 1140+60x20 0x20"},
        *(10, 25, 35),
        near={f'sagashop_orders_oldest_seconds{{{ORDER},status="PENDING"}}': "1200x60"},
    ),
    Case(
        "SagashopOrdersContradict",
        {"job": "shop/shop-order"},
        {f'sagashop_attention_total{{{ORDER},source="order-events"}}': "0x30 1x120"},
        *(30, 33, 95),
        near={f'sagashop_attention_total{{{ORDER},source="order-events"}}': "7x120"},
    ),
    Case(
        "SagashopOrdersShed",
        {},
        {f"sagashop_orders_shed_total{{{ORDER}}}": "0x30 0+5x20 100x40"},
        *(30, 45, 60),
        near={f"sagashop_orders_shed_total{{{ORDER}}}": "0x30 5x40"},
    ),
    Case(
        "SagashopBrokerDisconnected",
        {"job": "shop/shop-order"},
        {
            f'sagashop_broker_connected{{{ORDER},pod="a"}}': "1x10 0x10 1x10",
            f'sagashop_broker_connected{{{ORDER},pod="b"}}': "1x10 0x10 1x10",
        },
        *(10, 14, 23),
        near={
            f'sagashop_broker_connected{{{ORDER},pod="a"}}': "1x30",
            f'sagashop_broker_connected{{{ORDER},pod="b"}}': "1x10 0x20",
        },
    ),
    Case(
        "SagashopOutboxNotDraining",
        {"job": "shop/shop-order"},
        {f"sagashop_outbox_oldest_seconds{{{ORDER}}}": "0x10 0+60x10 0x10"},
        *(10, 19, 25),
        near={f"sagashop_outbox_oldest_seconds{{{ORDER}}}": "60x30"},
    ),
    Case(
        "SagashopDeadLetters",
        {"queue": "orders"},
        {f'sagashop_dead_letters_total{{{ORDER},queue="orders",kind="failed"}}': "0x30 1x60"},
        *(30, 32, 50),
        near={f'sagashop_dead_letters_total{{{ORDER},queue="orders",kind="failed"}}': "3x90"},
    ),
    Case(
        "SagashopDeadLetters",
        {"queue": "orders"},
        {f'rabbitmq_detailed_queue_messages_ready{{{SHOP},vhost="/",queue="orders.dlq"}}': "0x10 2x10 0x10"},
        *(10, 15, 25),
        near={
            f'rabbitmq_detailed_queue_messages_ready{{{SHOP},vhost="/",queue="orders"}}': "9x30",
            f'rabbitmq_detailed_queue_messages_ready{{{SHOP},vhost="/",queue="orders.retry.1"}}': "9x30",
            f'rabbitmq_detailed_queue_messages_ready{{{SHOP},vhost="/",queue="orders.dlq"}}': "0x30",
        },
    ),
    Case(
        "SagashopQueueWithoutConsumer",
        {"queue": "orders"},
        {f'rabbitmq_detailed_queue_consumers{{{SHOP},vhost="/",queue="orders"}}': "1x10 0x10 1x10"},
        *(10, 17, 22),
        near={
            f'rabbitmq_detailed_queue_consumers{{{SHOP},vhost="/",queue="orders"}}': "1x30",
            f'rabbitmq_detailed_queue_consumers{{{SHOP},vhost="/",queue="orders.dlq"}}': "0x30",
            f'rabbitmq_detailed_queue_consumers{{{SHOP},vhost="/",queue="somebody-elses"}}': "0x30",
            # A shop without that service.
            f'rabbitmq_detailed_queue_consumers{{{SHOP},vhost="/",queue="fulfilment"}}': "0x30",
            f'rabbitmq_detailed_queue_messages_ready{{{SHOP},vhost="/",queue="fulfilment"}}': "0x30",
        },
    ),
    Case(
        "SagashopQueueWithoutConsumer",
        {"queue": "fulfilment"},
        {
            f'rabbitmq_detailed_queue_consumers{{{SHOP},vhost="/",queue="fulfilment"}}': "1x10 0x10 1x10",
            f'rabbitmq_detailed_queue_messages_ready{{{SHOP},vhost="/",queue="fulfilment"}}': "0x10 2x20",
        },
        *(10, 17, 22),
        near={f'rabbitmq_detailed_queue_consumers{{{SHOP},vhost="/",queue="fulfilment"}}': "1x30"},
    ),
    Case(
        "SagashopBindingMissing",
        {"exchange": "saga.events"},
        {f'{BINDINGS},exchange="saga.events"}}': "20x10 19x100 20x30"},
        *(10, 90, 135),
        near={
            # There are more: another service, an upgrade. And those of others.
            f'{BINDINGS},exchange="saga.events"}}': "0x5 20x60 25x100",
            f'{BINDINGS},exchange="amq.topic"}}': "9x20 8x100",
        },
    ),
    Case(
        # It was seen once, and made anew.
        "SagashopBindingMissing",
        {"exchange": "payment.retry"},
        {f'{BINDINGS},exchange="payment.retry"}}': "10x10 9 10x100"},
        *(10, 20, 30),
        near={f'{BINDINGS},exchange="payment.retry"}}': "10x10 _x5 10x100"},
    ),
    Case(
        "SagashopEventsLate",
        {"queue": "orders"},
        {
            f'{AGE}{{{ORDER},queue="orders",le="30.0"}}': "0+10x30 300x30 310+10x30",
            f'{AGE}{{{ORDER},queue="orders",le="60.0"}}': "0+10x100",
            f'{AGE}{{{ORDER},queue="orders",le="+Inf"}}': "0+10x100",
        },
        *(29, 48, 75),
        near={
            f'{AGE}{{{ORDER},queue="orders",le="30.0"}}': "0+9.5x100",
            f'{AGE}{{{ORDER},queue="orders",le="60.0"}}': "0+10x100",
            f'{AGE}{{{ORDER},queue="orders",le="+Inf"}}': "0+10x100",
        },
    ),
    Case(
        "SagashopConsumerRetries",
        {"queue": "orders"},
        {
            f'sagashop_consumed_total{{{ORDERS},result="applied"}}': "0+100x120",
            f'sagashop_consumer_retries_total{{{ORDERS},kind="premature"}}': "0x30 0+10x40 400x40",
        },
        *(29, 60, 85),
        near={
            f'sagashop_consumed_total{{{ORDERS},result="applied"}}': "0+100x120",
            f'sagashop_consumer_retries_total{{{ORDERS},kind="premature"}}': "0+4x120",
        },
    ),
    Case(
        "SagashopTransactionsFail",
        {"job": "shop/shop-order"},
        {
            f'sagashop_transactions_total{{{ORDER},result="committed"}}': "0+10x30 300x20 310+10x30",
            f'sagashop_transactions_total{{{ORDER},result="unavailable"}}': "0x30 0+5x20 100x30",
        },
        *(30, 45, 62),
        near={
            f'sagashop_transactions_total{{{ORDER},result="committed"}}': "0+10x90",
            f'sagashop_transactions_total{{{ORDER},result="conflict"}}': "0+90x90",
            f'sagashop_transactions_total{{{ORDER},result="unavailable"}}': "0+2x90",
        },
    ),
    Case(
        "SagashopPublishRefused",
        {"type": "ORDER_PAID", "reason": "no queue"},
        {f'{UNSENT},reason="no queue"}}': "0x30 1x60"},
        *(30, 33, 45),
        near={f'{UNSENT},reason="connection lost"}}': "0+9x90"},
    ),
    Case(
        "SagashopRefundsOverdue",
        {},
        {f"sagashop_refunds_oldest_seconds{{{SHOP}}}": "0+60x70 0x30"},
        *(60, 68, 75),
        near={f"sagashop_refunds_oldest_seconds{{{SHOP}}}": "3600x100"},
    ),
    Case(
        "SagashopRefundRefused",
        {},
        {f"sagashop_refunds_refused{{{SHOP}}}": "0x30 2x30 0x40"},
        *(30, 42, 62),
        near={f"sagashop_refunds_refused{{{SHOP}}}": "0x30 1x8 0x60"},
    ),
    Case(
        "SagashopMailsNotSent",
        {"job": "shop/shop-auth"},
        {
            f"sagashop_mails_oldest_seconds{{{AUTH}}}": "0x30 0+60x40 0x60",
            f'sagashop_mail_duration_seconds_count{{{AUTH},result="sent"}}': "0+1x30 30x40 31+1x60",
            f'sagashop_mail_duration_seconds_count{{{AUTH},result="deferred"}}': "0x30 0+9x40 360x60",
            # Another service that gets rid of its own.
            f"sagashop_mails_oldest_seconds{{{TELLING}}}": "0+60x131",
            f'sagashop_mail_duration_seconds_count{{{TELLING},result="sent"}}': "0+1x131",
        },
        *(40, 60, 75),
        near={
            f"sagashop_mails_oldest_seconds{{{AUTH}}}": "0+60x131",
            f'sagashop_mail_duration_seconds_count{{{AUTH},result="failed"}}': "0+1x131",
        },
    ),
    Case(
        "SagashopWebhooksNotSent",
        {},
        {f"sagashop_webhook_untold_oldest_seconds{{{SHOP}}}": "0x30 60+60x30 0x40"},
        *(30, 45, 68),
        near={f"sagashop_webhook_untold_oldest_seconds{{{SHOP}}}": "120x100"},
    ),
    Case(
        "SagashopWebhookEndpointFails",
        {},
        {f"sagashop_webhook_endpoints_failing_seconds{{{SHOP}}}": "0x30 21601+60x30 0x40"},
        *(30, 45, 68),
        near={f"sagashop_webhook_endpoints_failing_seconds{{{SHOP}}}": "21600x100"},
    ),
    Case(
        "SagashopWebhookEndpointDisabled",
        {},
        {f'sagashop_webhook_endpoints{{{SHOP},state="DISABLED"}}': "0x30 1x30 0x40"},
        *(30, 45, 68),
        near={f'sagashop_webhook_endpoints{{{SHOP},state="ENABLED"}}': "3x100"},
    ),
    Case(
        "SagashopPaymentGatewayFails",
        {"call": "capture"},
        {
            f'{PAYING}_count{{{SHOP},call="capture",result="answered"}}': "0+10x100",
            f'{PAYING}_count{{{SHOP},call="capture",result="unknown"}}': "0x30 0+3x20 60x50",
        },
        *(30, 47, 60),
        near={
            f'{PAYING}_count{{{SHOP},call="capture",result="answered"}}': "0+10x100",
            f'{PAYING}_count{{{SHOP},call="capture",result="unknown"}}': "0+1x100",
        },
    ),
    Case(
        "SagashopPaymentGatewayAway",
        {},
        {f'{AWAY}{{{SHOP},pod="a"}}': "0x10 1x10 0x10", f'{AWAY}{{{SHOP},pod="b"}}': "0x40"},
        *(10, 15, 22),
        # Back after a probe or two.
        near={f'{AWAY}{{{SHOP},pod="a"}}': "0x10 1 1 0x20"},
    ),
    Case(
        "SagashopPaymentGatewaySlow",
        {"call": "capture"},
        {
            f'{PAYING}_bucket{{{CAPTURE},le="5.0"}}': "0+10x30 300x30 310+10x60",
            f'{PAYING}_bucket{{{CAPTURE},le="10.0"}}': "0+10x120",
            f'{PAYING}_bucket{{{CAPTURE},le="+Inf"}}': "0+10x120",
        },
        *(29, 55, 80),
        near={
            f'{PAYING}_bucket{{{CAPTURE},le="5.0"}}': "0+9.6x120",
            f'{PAYING}_bucket{{{CAPTURE},le="+Inf"}}': "0+10x120",
        },
    ),
    Case(
        "SagashopMonitorDegraded",
        {"name": "shop"},
        {f'sagamonitor_condition{{{MONITOR},type="Degraded"}}': "0x10 1x10 0x10"},
        *(10, 17, 22),
        near={
            f'sagamonitor_condition{{{MONITOR},type="Degraded"}}': "-1x30",
            f'sagamonitor_condition{{{MONITOR},type="Ready"}}': "1x30",
        },
    ),
    Case(
        "SagashopBooksDisagree",
        {"name": "shop"},
        {f'sagamonitor_condition{{{MONITOR},type="Consistent"}}': "1x10 0x10 1x10"},
        *(10, 12, 22),
        near={
            f'sagamonitor_condition{{{MONITOR},type="Consistent"}}': "1x10 -1x20",
            f'sagamonitor_condition{{{MONITOR},type="Degraded"}}': "0x30",
        },
    ),
    Case(
        "SagashopMonitorNotReady",
        {"name": "shop"},
        {f'sagamonitor_condition{{{MONITOR},type="Ready"}}': "1x10 -1x20 1x10"},
        *(10, 28, 33),
        near={f'sagamonitor_condition{{{MONITOR},type="Ready"}}': "1x10 0x14 1x10"},
    ),
    Case(
        "SagashopMonitorSilent",
        {"name": "shop"},
        {
            f"{LAST}{{{MONITOR}}}": "0+60x20 1200x40 3660+60x60",
            f'{INFO}{{{MONITOR},suspended="false"}}': "1x120",
        },
        *(20, 55, 65),
        near={f"{LAST}{{{MONITOR}}}": "0+60x20 1200x100", f'{INFO}{{{MONITOR},suspended="true"}}': "1x120"},
    ),
    Case(
        "SagashopMonitorSilent",
        {},
        {f'sagashop_orders{{{ORDER},status="PENDING"}}': "3x60", f"{INFO}{{{MONITOR}}}": "1x20 _x24 1x16"},
        *(20, 40, 50),
        near={f'sagashop_orders{{{ORDER},status="PENDING"}}': "3x60", f"{INFO}{{{MONITOR}}}": "1x60"},
    ),
    Case(
        "SagashopCompensationStorm",
        {"name": "shop"},
        {f'sagamonitor_compensations_total{{{MONITOR},outcome="compensated"}}': "0x20 0+10x10 100x40"},
        *(20, 30, 50),
        near={
            f'sagamonitor_compensations_total{{{MONITOR},outcome="compensated"}}': "0+3x80",
            f'sagamonitor_compensations_total{{{MONITOR},outcome="already"}}': "0+30x80",
            f"sagamonitor_deferred_orders{{{MONITOR}}}": "0x28 5x10 0x40",
        },
    ),
    Case(
        "SagashopCompensationStorm",
        {"name": "shop"},
        {f"sagamonitor_deferred_orders{{{MONITOR}}}": "0x10 5x30 0x20"},
        *(20, 35, 45),
        near={f"sagamonitor_deferred_orders{{{MONITOR}}}": "0x60"},
    ),
    Case(
        "SagashopServiceMissing",
        {"name": "payment"},
        {f'sagashop_build_info{{{SHOP},name="payment",version="1",pod="a"}}': "1x30 _x30 1x30"},
        *(30, 45, 65),
        near={
            f'sagashop_build_info{{{SHOP},name="payment",version="1",pod="a"}}': "1x30 _x60",
            f'sagashop_build_info{{{SHOP},name="payment",version="2",pod="b"}}': "1x90",
        },
    ),
    Case(
        "SagashopRedisAway",
        {},
        {f"sagashop_rate_limit_without_redis_total{{{GATEWAY}}}": "0x30 0+5x20 100x40"},
        *(30, 45, 60),
        near={f"sagashop_rate_limit_without_redis_total{{{GATEWAY}}}": "0x30 40x40"},
    ),
    Case(
        "SagashopBrokerAlarm",
        {},
        {f"rabbitmq_alarms_memory_used_watermark{{{SHOP}}}": "0x10 1x10 0x10"},
        *(10, 14, 23),
        near={
            f"rabbitmq_alarms_memory_used_watermark{{{SHOP}}}": "0x30",
            f"rabbitmq_alarms_free_disk_space_watermark{{{SHOP}}}": "0x30",
        },
    ),
    Case(
        "SagashopVolumeFillingUp",
        {"persistentvolumeclaim": "data-shop-mongodb-0"},
        {
            f"{AVAILABLE}{{{DATA}}}": "30x10 9x30 50x20",
            f"{CAPACITY}{{{DATA}}}": "100x60",
        },
        *(10, 30, 45),
        near={
            f"{AVAILABLE}{{{DATA}}}": "10x60",
            f"{CAPACITY}{{{DATA}}}": "100x60",
            f"{AVAILABLE}{{{PHOTOS}}}": "1x60",
            f"{CAPACITY}{{{PHOTOS}}}": "100x60",
        },
    ),
]


def tool(*arguments: str | Path) -> str:
    """What promtool says, where it finds nothing wrong."""
    done = subprocess.run([program("promtool"), *arguments], capture_output=True, text=True, check=False)  # noqa: S603  # our own
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_promtool_finds_nothing_wrong_with_the_rules() -> None:
    tool("check", "rules", "--lint=all", "--lint-fatal", *FILES)


def test_alertmanager_takes_our_sample_and_it_speaks_of_alerts_that_there_are() -> None:
    sample = ROOT / "docs" / "alertmanager.yaml"
    done = subprocess.run([program("amtool"), "check-config", sample], capture_output=True, check=False)  # noqa: S603  # our own
    assert done.returncode == 0, done.stdout
    for matcher in re.findall(r"alertname (?:=~|=) \"?([\w|.*]+)", sample.read_text()):
        for pattern in matcher.split("|"):
            assert any(re.fullmatch(pattern, name) for name in ALERTS), pattern


def test_every_alert_is_tried() -> None:
    assert {case.alert for case in CASES} == set(ALERTS)


@pytest.mark.parametrize("every", ["1m", "10m"])
@pytest.mark.parametrize("rules", FILES, ids=[file.stem for file in FILES])
def test_they_fire_for_their_faults_and_for_nothing_else(rules: Path, every: str, tmp_path: Path) -> None:
    """One run of promtool for the alerts of a file: to start it takes longer than to try them."""
    bare = without_words(yaml.safe_load(rules.read_text()))
    own = {rule.get("alert") for group in bare["groups"] for rule in group["rules"]}
    (tmp_path / rules.name).write_text(yaml.safe_dump(bare))
    cases = [case for case in CASES if case.alert in own and case.every == every]
    test = {
        "rule_files": [rules.name],
        "evaluation_interval": every,
        # Else in the order of a Go map: in one run of eight, alerts before what is recorded for them.
        "group_eval_order": [group["name"] for group in bare["groups"]],
        "tests": [each for case in cases for each in scenes(case)],
    }
    file = tmp_path / "test.yaml"
    file.write_text(yaml.safe_dump(test))
    tool("test", "rules", file)


def without_words(rules: Any) -> Any:
    """Without what they tell: promtool wants to be told every word of it."""
    for group in rules["groups"]:
        for rule in group["rules"]:
            rule.pop("annotations", None)
    return rules


def scenes(case: Case) -> tuple[dict[str, Any], dict[str, Any]]:
    """The fault, and what comes near it."""
    expected = {"namespace": "shop", **ALERTS[case.alert]["labels"], **case.labels}
    moments = (case.before, case.during, case.after)
    faulty = [(moment, [expected] if moment == case.during else []) for moment in moments]
    return scene(case, case.fault, faulty), scene(case, case.near, [(each, []) for each in moments])


def scene(
    case: Case, series: Mapping[str, str], expected: list[tuple[int, list[dict[str, str]]]]
) -> dict[str, Any]:
    minutes = int(case.every.removesuffix("m"))
    return {
        "interval": case.every,
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "alert_rule_test": [
            {
                "eval_time": f"{moment * minutes}m",
                "alertname": case.alert,
                "exp_alerts": [{"exp_labels": labels} for labels in alerts],
            }
            for moment, alerts in expected
        ],
    }


def test_the_queues_that_need_a_consumer_are_those_of_the_contract() -> None:
    for services in (CORE, OPTIONAL):
        queues = "|".join(queue for service in services for queue in CONSUMES.get(service, {}))
        assert f'queue=~"{queues}"' in ALERTS["SagashopQueueWithoutConsumer"]["expr"]


def test_every_alert_says_whom_it_wakes_what_it_is_about_and_what_it_means() -> None:
    for name, rule in ALERTS.items():
        assert name.startswith("Sagashop")
        assert rule["labels"]["severity"] in {"page", "ticket"}, name
        assert rule["labels"]["component"], name
        assert set(rule["annotations"]) == {"summary", "description"}, name
        assert (
            "$labels.namespace" in rule["annotations"]["summary"]
            or "$labels.job" in rule["annotations"]["summary"]
        ), name
