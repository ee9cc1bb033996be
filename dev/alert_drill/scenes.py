"""What breaks in a drill, which alert tells of it, and what its page has somebody type."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from dev.alert_drill import faults
from dev.alert_drill.faults import During
from dev.faults import Proxy

PAGES: Final = "pages"
TICKETS: Final = "tickets"
SUSPEND: Final = """kubectl -n shop patch sagamonitor shop --type=merge -p '{"spec": {"suspend":"""


class Scene(NamedTuple):
    alert: str
    says: str
    # Alertmanager's receiver.
    calls: str
    during: During
    # Of the page's commands those that one types for this fault, by how they begin, and a word of the answer.
    typed: Mapping[str, str]
    # Alerts that follow from this one: nobody is called for them while it lasts.
    silent: frozenset[str] = frozenset()
    # Whether a drill without names plays it.
    is_usual: bool = False
    # Whether the order that it is about stays marked.
    marks: bool = False
    # Whether it takes the operator, and so an API server.
    by_operator: bool = False
    # Seconds.
    arrives_within: float = 60
    resolves_within: float = 90


SCENES: Final = {
    scene.alert: scene
    for scene in (
        Scene(
            "SagashopDeadLetters",
            "an unreadable message is published to a queue",
            TICKETS,
            faults.unreadable,
            {
                "sagactl letters list": faults.LETTER,
                "sagactl letters show": "invalid",
                "sagactl letters discard": "discarded",
            },
            is_usual=True,
        ),
        Scene(
            "SagashopServiceMissing",
            "every replica of payment is stopped",
            PAGES,
            faults.gone("payment"),
            {"sagactl status": "payment"},
            silent=frozenset({"SagashopQueueWithoutConsumer", "SagashopOrdersStuck"}),
            is_usual=True,
        ),
        Scene(
            "SagashopBrokerDisconnected",
            "RabbitMQ is stopped",
            PAGES,
            faults.gone("rabbitmq"),
            {
                "sagactl status": "outbox",
                "kubectl -n shop logs deploy/shop-order": "the broker is unavailable",
            },
            silent=frozenset({"SagashopOutboxNotDraining", "SagashopEventsLate"}),
            is_usual=True,
        ),
        Scene(
            "SagashopBrokerAlarm",
            "RabbitMQ has no memory left",
            PAGES,
            faults.as_in_chaos("memory-alarm"),
            {
                "kubectl -n shop exec shop-rabbitmq-0 -- rabbitmq-diagnostics -q check": "Memory alarm",
                "kubectl -n shop exec shop-rabbitmq-0 -- rabbitmq-diagnostics memory_breakdown": "binary",
                "sagactl status": "is short of memory",
            },
            silent=frozenset({"SagashopOutboxNotDraining", "SagashopEventsLate"}),
        ),
        Scene(
            "SagashopPublishRefused",
            "inventory's bindings are deleted while it does not run",
            PAGES,
            faults.unbound,
            {
                "sagactl status": "nobody consumes inventory",
                "kubectl -n shop exec shop-rabbitmq-0 -- rabbitmqctl -q list_bindings": "order-events",
                "kubectl -n shop logs deploy/shop-order": "stays in the outbox",
                "kubectl -n shop rollout restart": "",
            },
        ),
        Scene(
            "SagashopOutboxNotDraining",
            "inventory's bindings are deleted while it does not run",
            PAGES,
            faults.unbound,
            {
                "sagactl status": "outbox",
                "sagactl outbox list": "",
                "kubectl -n shop logs deploy/shop-order": "stays in the outbox",
                "kubectl -n shop exec shop-rabbitmq-0 -- rabbitmq-diagnostics": "",
            },
        ),
        Scene(
            "SagashopBindingMissing",
            "a binding is deleted, and again each time it is restored",
            PAGES,
            faults.binding_gone,
            {
                "sagactl status": "orders.dlq is not bound to order.retry",
                "kubectl -n shop exec shop-rabbitmq-0 -- rabbitmqctl -q list_bindings": "saga.events",
                "sagactl check --live": "",
            },
        ),
        Scene(
            "SagashopRedisAway",
            "Redis is stopped",
            TICKETS,
            faults.gone("redis"),
            {
                "kubectl -n shop logs deploy/shop-gateway": "Redis is unavailable",
                "kubectl -n shop rollout restart": "",
            },
        ),
        Scene(
            "SagashopTransactionsFail",
            "MongoDB is frozen",
            PAGES,
            faults.as_in_chaos("database-frozen"),
            {"kubectl -n shop logs deploy/shop-order": "database"},
            silent=frozenset({"SagashopQueueWithoutConsumer"}),
        ),
        Scene(
            "SagashopGatewayErrorsFast",
            "every replica of product is stopped",
            PAGES,
            faults.gone("product"),
            {"kubectl -n shop logs -l": "prices are unavailable", "kubectl -n shop rollout restart": ""},
        ),
        Scene(
            "SagashopOrderingSlow",
            "product is frozen most of the time",
            TICKETS,
            faults.stutters("product"),
            {"sagactl status": ""},
        ),
        Scene(
            "SagashopOrdersShed",
            "MongoDB is frozen most of the time",
            PAGES,
            faults.stutters("mongodb"),
            {"sagactl status": "orders", "kubectl -n shop logs deploy/shop-order": "were refused"},
            arrives_within=90,
        ),
        Scene(
            "SagashopOrdersStuck",
            "a message is taken out of the queue of payment",
            PAGES,
            faults.lost,
            {
                "sagactl status": "CONFIRMED",
                "sagactl explain": "STOCK_RESERVED",
                "sagactl repair ORDER --apply": "",
                "sagactl stuck sweep --dry-run": "",
            },
        ),
        Scene(
            "SagashopOrdersContradict",
            "an event says that a paid order was paid with one cent",
            TICKETS,
            faults.contradicted,
            {
                "sagactl orders list --marked": "ORDER",
                "kubectl -n shop logs deploy/shop-order": "captured a second time",
                "sagactl orders show": "ORDER",
                "sagactl find": "Nobody knows it",
            },
            marks=True,
        ),
        Scene(
            "SagashopOrdersLateFast",
            "the payment gateway hangs",
            PAGES,
            faults.on_the_way_to_payment(Proxy.silence),
            {"sagactl status": "STOCK_RESERVED", "kubectl -n shop logs deploy/shop-payment": "deferred"},
        ),
        Scene(
            "SagashopPaymentGatewayAway",
            "the payment gateway hangs",
            PAGES,
            faults.on_the_way_to_payment(Proxy.silence),
            {"kubectl -n shop logs deploy/shop-payment": "deferred", "sagactl status": "STOCK_RESERVED"},
        ),
        Scene(
            "SagashopPaymentGatewayFails",
            "the payment gateway answers one of eight calls with 503",
            PAGES,
            faults.gateway_fails,
            {"kubectl -n shop logs deploy/shop-payment": "down", "sagactl status": "STOCK_RESERVED"},
        ),
        Scene(
            "SagashopPaymentGatewaySlow",
            "the payment gateway takes 6 s for a charge",
            TICKETS,
            faults.on_the_way_to_payment(faults.slow),
            {"sagactl status": "CONFIRMED"},
        ),
        Scene(
            "SagashopConsumerRetries",
            "the payment gateway refuses connections",
            TICKETS,
            faults.on_the_way_to_payment(faults.cut_off),
            {
                "sagactl status": "STOCK_RESERVED",
                "kubectl -n shop logs deploy/shop-payment": "deferred",
                "sagactl letters list": "",
            },
        ),
        Scene(
            "SagashopRefundsOverdue",
            "a refund is requested, and the payment gateway refuses connections",
            PAGES,
            faults.refund_waits,
            {
                "sagactl payments list": "ORDER",
                "sagactl payments show": "ORDER",
                "sagactl explain": "ORDER",
                "kubectl -n shop logs deploy/shop-payment": "refund",
            },
            arrives_within=120,
        ),
        Scene(
            "SagashopRefundRefused",
            "a refund is requested, and the bank refuses it",
            TICKETS,
            faults.refund_refused,
            {
                "sagactl payments list": "ORDER",
                "sagactl payments show": "ORDER",
                "sagactl explain": "ORDER",
                "curl": "ORDER",
            },
        ),
        Scene(
            "SagashopMailsNotSent",
            "the mail server is stopped",
            PAGES,
            faults.mail_server_away,
            {
                "kubectl -n shop logs deploy/shop-auth": "waits",
                "kubectl -n shop logs deploy/shop-notification": "deferred",
            },
            arrives_within=120,
        ),
        Scene(
            "SagashopWebhooksNotSent",
            "the replica of notification that calls webhook endpoints is frozen",
            PAGES,
            faults.teller_hangs,
            {
                "kubectl -n shop logs deploy/shop-notification": "",
                "kubectl -n shop rollout restart": "",
            },
        ),
        Scene(
            "SagashopWebhookEndpointDisabled",
            "an endpoint answers 410",
            TICKETS,
            faults.endpoint_gone,
            {
                "curl -s $SHOP/api/webhooks -H": "410 Gone",
                "kubectl -n shop logs deploy/shop-notification": "to endpoint",
                "curl -s -X POST $SHOP/api/webhooks/$ENDPOINT/test": "204",
                "curl -s -X POST $SHOP/api/webhooks/$ENDPOINT/enable": "ENABLED",
                "curl -s $SHOP/api/webhooks/$ENDPOINT/replay": "replayId",
            },
        ),
        Scene(
            "SagashopQueueWithoutConsumer",
            "every replica of payment has been gone for longer than the alert about a missing service "
            "looks back",
            PAGES,
            faults.gone("payment"),
            {
                "sagactl status": "nobody consumes STOCK_RESERVED",
                "kubectl -n shop logs deploy/shop-payment": "",
                "kubectl -n shop rollout restart": "",
            },
            # That a service is missing is remembered for six hours.
            arrives_within=480,
        ),
        Scene(
            "SagashopEventsLate",
            "payment has a slow connection to RabbitMQ, and takes one message at a time",
            PAGES,
            faults.payment_is_slow,
            {"sagactl status": "STOCK_RESERVED", "kubectl -n shop logs deploy/shop-payment": ""},
            # Half a minute is half a minute.
            arrives_within=180,
        ),
        Scene(
            "SagashopWebhookEndpointFails",
            "an endpoint answers 503 for six hours",
            TICKETS,
            faults.endpoint_fails,
            {
                "curl -s $SHOP/api/webhooks -H": "ENDPOINT",
                "curl -s -X POST $SHOP/api/webhooks/$ENDPOINT/test": "503",
                "kubectl -n shop logs deploy/shop-notification": "to endpoint",
            },
            arrives_within=480,
        ),
        Scene(
            "SagashopMonitorSilent",
            "the operator is killed",
            PAGES,
            faults.operator_gone,
            {
                "kubectl -n shop logs deploy/shop-saga-operator": "",
                "kubectl -n shop get sagamonitors": "shop",
                "kubectl -n shop rollout restart deploy/shop-saga-operator": "",
                "sagactl stuck sweep --every": "",
            },
            by_operator=True,
        ),
        Scene(
            "SagashopMonitorNotReady",
            "the SagaMonitor names a Service that does not exist",
            TICKETS,
            faults.operator_misled,
            {
                "kubectl -n shop describe sagamonitors": "ServiceNotFound",
                "kubectl -n shop logs deploy/shop-saga-operator": "ServiceNotFound",
                "sagactl stuck sweep": "",
                "kubectl -n shop get sagamonitors": "ServiceNotFound",
            },
            by_operator=True,
        ),
        Scene(
            "SagashopMonitorDegraded",
            "order refuses the operator's token, and an order is stuck",
            PAGES,
            faults.operator_refused,
            {
                "kubectl -n shop get sagamonitors": "Forbidden",
                "kubectl -n shop describe sagamonitors": "SweepsFailing",
                "sagactl explain": "STOCK_RESERVED",
                "sagactl stuck sweep --dry-run": "",
                "sagactl stuck sweep --max": "",
            },
            by_operator=True,
            arrives_within=120,
            resolves_within=180,
        ),
        Scene(
            "SagashopCompensationStorm",
            "every replica of payment is stopped, and the operator compensates one order after another",
            PAGES,
            faults.orders_get_stuck,
            {
                "sagactl status": "STOCK_RESERVED",
                "kubectl -n shop describe sagamonitors": "Accepted",
                f"{SUSPEND} true": "patched",
                f"{SUSPEND} false": "patched",
            },
            by_operator=True,
            arrives_within=120,
        ),
        Scene(
            "SagashopBooksDisagree",
            "inventory is restored to a state before an order was paid, and the scheduled check finds it",
            TICKETS,
            faults.books_disagree,
            {
                "kubectl -n shop describe sagamonitors": "Broken",
                "sagactl check --live": "ORDER",
                "sagactl explain": "ORDER",
                "sagactl orders show": "ORDER",
                "sagactl repair --apply": "ORDER",
                "sagactl repair": "ORDER",
                "kubectl -n shop get sagamonitors": "shop",
            },
            by_operator=True,
            arrives_within=180,
            resolves_within=120,
        ),
    )
}
