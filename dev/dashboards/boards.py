"""The six dashboards. Every panel says what is bad, and which runbook helps."""

from typing import Final

from dev.dashboards.panels import Board, Unit, lines, number, quantiles, states

ALERTS: Final = states(
    "Alerts",
    "Alerts that fire. Each has a page of its name in docs/runbooks.",
    'max by (alertname) (ALERTS{$ns, alertname=~"Sagashop.+", alertstate="firing"})',
    "{{alertname}}",
    width=24,
)
CREATED: Final = 'sagashop_order_transitions_total{$ns, from="none"}'
LATE: Final = "max(sagashop:orders_late:ratio_rate{0}{{$ns}})"
GATEWAY: Final = '$ns, job=~".*gateway", route!~"/healthz|/readyz|/metrics"'
HTTP: Final = "sagashop_http_request_duration_seconds"
MAIN: Final = 'queue!~".+[.](dlq|retry[.][0-9])"'

SHOP: Final = Board(
    "shop",
    "Shop",
    "Do customers get their orders? Objectives, their error budgets, and orders that do not progress.",
    (
        (
            number(
                "Orders per second",
                "Orders that are placed now.",
                f"sum(rate({CREATED}[$rate]))",
                unit=Unit.PER_SECOND,
            ),
            number(
                "Late, last hour",
                "Orders that did not settle within 10 s. Bad: more than 0.5 %, the objective. Runbook: SagashopOrdersLateFast.",
                LATE.format("1h"),
                unit=Unit.RATIO,
                amber=0.005,
                red=0.03,
            ),
            number(
                "Error budget used, 3 days",
                "How fast the error budget is used, over three days. Bad: above 100 %, because it will not last.",
                f"{LATE.format('3d')} / 0.005",
                unit=Unit.RATIO,
                amber=0.7,
                red=1,
            ),
            number(
                "Oldest order now",
                "After 5 minutes the operator compensates an order. Bad: above 10 minutes. Runbook: SagashopOrdersStuck.",
                'max(sagashop_orders_oldest_seconds{$ns, status=~"PENDING|CONFIRMED"})',
                unit=Unit.SECONDS,
                amber=60,
                red=600,
            ),
            number(
                "5xx at the gateway, last hour",
                "Requests answered with 5xx. Bad: more than 0.1 %, the objective. Runbook: SagashopGatewayErrorsFast.",
                "max(sagashop:gateway_errors:ratio_rate1h{$ns})",
                unit=Unit.RATIO,
                amber=0.001,
                red=0.006,
            ),
            number(
                "Dead letters",
                "Each is an order that waits for a decision. Runbook: SagashopDeadLetters.",
                'sum(max by (queue) (rabbitmq_detailed_queue_messages_ready{$ns, queue=~".+[.]dlq"}))',
                red=1,
            ),
        ),
        (ALERTS,),
        (
            lines(
                "Orders by outcome",
                "Orders placed, paid, cancelled. Bad: more are placed than completed.",
                (f"sum(rate({CREATED}[$rate]))", "placed"),
                (
                    'sum by (to) (rate(sagashop_order_transitions_total{$ns, from!="none", to=~"PAID|CANCELLED|REFUNDED"}[$rate]))',
                    "{{to}}",
                ),
                unit=Unit.PER_SECOND,
            ),
            quantiles(
                "Time until an order settles",
                "PAID or CANCELLED. Orders that never settle are not included: see the oldest open order, too.",
                "sagashop_saga_duration_seconds",
                selector='$ns, outcome=~"PAID|CANCELLED"',
                red=10,
            ),
            lines(
                "Late orders",
                "The ratio of orders that do not settle within 10 s, over five minutes and an hour. Bad: above the line, the objective.",
                (LATE.format("5m"), "5 minutes"),
                (LATE.format("1h"), "an hour"),
                unit=Unit.RATIO,
                red=0.005,
            ),
        ),
        (
            lines(
                "Open orders",
                "Orders that wait: PENDING for stock, CONFIRMED for the payment, REFUNDING for the refund. Bad: a line that only grows.",
                ("max by (status) (sagashop_orders{$ns})", "{{status}}"),
            ),
            lines(
                "Oldest open order",
                "Bad: a line that rises by one second per second. Runbook: SagashopOrdersStuck.",
                ("max by (status) (sagashop_orders_oldest_seconds{$ns})", "{{status}}"),
                unit=Unit.SECONDS,
                red=600,
            ),
            lines(
                "Cancelled orders by reason",
                "OUT_OF_STOCK and PAYMENT_FAILED are normal. Bad: SAGA_TIMEOUT, a fault of the shop. Runbook: SagashopCompensationStorm.",
                ("sum by (reason) (rate(sagashop_compensations_total{$ns}[$rate]))", "{{reason}}"),
                unit=Unit.PER_SECOND,
                stacked=True,
            ),
        ),
        (
            quantiles(
                "Placing an order",
                "POST /api/orders at the gateway. Bad: above a second. Runbook: SagashopOrderingSlow.",
                HTTP,
                selector='$ns, job=~".*gateway", method="POST", route="/api/orders"',
                red=1,
            ),
            lines(
                "New orders refused",
                "Refused because too many orders are open. Runbook: SagashopOrdersShed.",
                ("sum(rate(sagashop_orders_shed_total{$ns}[$rate]))", "refused"),
                unit=Unit.PER_SECOND,
            ),
            lines(
                "Contradictions",
                "Messages that contradict what happened before. Runbook: SagashopOrdersContradict.",
                ("sum by (source) (increase(sagashop_attention_total{$ns}[$rate]))", "{{source}}"),
            ),
        ),
    ),
)

MESSAGES: Final = Board(
    "messages",
    "Saga and messages",
    "Where do messages wait? From the outbox through the queue to the commit.",
    (
        (ALERTS,),
        (
            lines(
                "Messages handled",
                "By queue. Bad: none while there are orders.",
                ("sum by (queue) (rate(sagashop_consumed_total{$ns}[$rate]))", "{{queue}}"),
                unit=Unit.PER_SECOND,
                stacked=True,
            ),
            lines(
                "Messages in queues",
                "Ready and unacknowledged. Bad: a line that grows. Runbook: SagashopEventsLate.",
                (
                    f"max by (queue) (rabbitmq_detailed_queue_messages_ready{{$ns, {MAIN}}} + rabbitmq_detailed_queue_messages_unacked)",
                    "{{queue}}",
                ),
            ),
            lines(
                "Age of events when handled",
                "p90, in whole seconds: how far a consumer lags behind. Runbook: SagashopEventsLate.",
                (
                    "histogram_quantile(0.9, sum by (queue, le) (rate(sagashop_event_age_seconds_bucket{$ns}[$rate])))",
                    "{{queue}}",
                ),
                unit=Unit.SECONDS,
                red=30,
            ),
        ),
        (
            lines(
                "Consumers",
                "Bad: a queue without consumers. Runbook: SagashopQueueWithoutConsumer.",
                (f"max by (queue) (rabbitmq_detailed_queue_consumers{{$ns, {MAIN}}})", "{{queue}}"),
            ),
            lines(
                "Retries",
                "`premature`: before its cause. `deferred`: the payment gateway or mail server. `failed`: our error. Runbook: SagashopConsumerRetries.",
                (
                    "sum by (kind) (rate(sagashop_consumer_retries_total{$ns}[$rate]))",
                    "{{kind}}",
                ),
                unit=Unit.PER_SECOND,
            ),
            lines(
                "Dead letters",
                "Messages in dead-letter queues. Runbook: SagashopDeadLetters.",
                (
                    'max by (queue) (rabbitmq_detailed_queue_messages_ready{$ns, queue=~".+[.]dlq"})',
                    "{{queue}}",
                ),
            ),
        ),
        (
            lines(
                "Oldest event in an outbox",
                "Bad: above a minute. Runbook: SagashopOutboxNotDraining.",
                ("max by (job) (sagashop_outbox_oldest_seconds{$ns})", "{{job}}"),
                unit=Unit.SECONDS,
                red=60,
            ),
            lines(
                "Batches in outboxes",
                "Batches that wait for the broker.",
                ("max by (job) (sagashop_outbox_rows{$ns})", "{{job}}"),
            ),
            lines(
                "Not published",
                "`connection lost` is temporary; `no queue` means a missing binding. Runbook: SagashopPublishRefused.",
                ("sum by (reason) (rate(sagashop_publish_failures_total{$ns}[$rate]))", "{{reason}}"),
                unit=Unit.PER_SECOND,
            ),
        ),
        (
            quantiles(
                "Commit",
                "p95 of the time to commit a batch, by service. Bad: above a second.",
                "sagashop_commit_duration_seconds",
                "job",
                red=1,
            ),
            lines(
                "Failed transactions",
                "`conflict` and `taken` are caused by other replicas. Runbook for the others: SagashopTransactionsFail.",
                (
                    'sum by (result) (rate(sagashop_transactions_total{$ns, result!="committed"}[$rate]))',
                    "{{result}}",
                ),
                unit=Unit.PER_SECOND,
            ),
            lines(
                "Messages waiting for a batch",
                "Bad: a line that grows, the first sign of overload.",
                ("sum by (job, kind) (sagashop_commit_waiting{$ns})", "{{job}} {{kind}}"),
            ),
        ),
        (
            lines(
                "Messages per transaction",
                "On average. It grows with the load, which increases throughput.",
                (
                    "sum by (job) (rate(sagashop_commit_batch_size_sum{$ns}[$rate])) / sum by (job) (rate(sagashop_commit_batch_size_count{$ns}[$rate]))",
                    "{{job}}",
                ),
            ),
            lines(
                "Duplicates",
                "Repeated messages and commands. Harmless, and frequent after an outage.",
                ("sum by (source) (rate(sagashop_duplicates_total{$ns}[$rate]))", "{{source}}"),
                unit=Unit.PER_SECOND,
            ),
            states(
                "Disconnected from the broker",
                "Services of which no replica is connected. Runbook: SagashopBrokerDisconnected.",
                "1 - max by (job) (sagashop_broker_connected{$ns})",
                "{{job}}",
            ),
        ),
        (
            lines(
                "Webhook calls",
                "By result. `unanswered`: DNS, certificate, connection, or no answer within 15 s. Runbook: SagashopWebhookEndpointFails.",
                (
                    "sum by (result) (rate(sagashop_webhook_call_duration_seconds_count{$ns}[$rate]))",
                    "{{result}}",
                ),
                unit=Unit.PER_SECOND,
            ),
            lines(
                "Waiting webhook deliveries",
                "Many waiting deliveries mean an endpoint that is unavailable. They are retried for three days.",
                ("max(sagashop_webhook_deliveries_waiting{$ns})", "waiting"),
            ),
            lines(
                "Oldest event not sent to webhooks",
                "Bad: above two minutes. Runbook: SagashopWebhooksNotSent.",
                ("max(sagashop_webhook_untold_oldest_seconds{$ns})", "not sent"),
                unit=Unit.SECONDS,
                red=120,
            ),
        ),
        (
            lines(
                "Shipments",
                "If fulfilment is enabled. Bad: requests that are neither shipped nor refused.",
                ('sum(rate(sagashop_published_total{$ns, type="SHIPMENT_REQUEST"}[$rate]))', "requested"),
                ('sum(rate(sagashop_published_total{$ns, type="ORDER_SHIPPED"}[$rate]))', "shipped"),
                ('sum(rate(sagashop_published_total{$ns, type="SHIPMENT_REFUSED"}[$rate]))', "refused"),
                ('sum(rate(sagashop_published_total{$ns, type="ORDER_DELIVERED"}[$rate]))', "delivered"),
                unit=Unit.PER_SECOND,
            ),
        ),
    ),
)

REQUESTS: Final = Board(
    "http",
    "HTTP",
    "Rate, errors and duration, at the gateway and of the services behind it.",
    (
        (ALERTS,),
        (
            lines(
                "Requests",
                "At the gateway, by status.",
                (f"sum by (status) (rate({HTTP}_count{{{GATEWAY}}}[$rate]))", "{{status}}"),
                unit=Unit.PER_SECOND,
                stacked=True,
            ),
            lines(
                "5xx answers by service",
                "The gateway's own mean that it cannot reach a service. Runbook: SagashopGatewayErrorsFast.",
                (
                    f'sum by (job) (rate({HTTP}_count{{$ns, route!~"/readyz", status=~"5.."}}[$rate]))',
                    "{{job}}",
                ),
                unit=Unit.PER_SECOND,
            ),
            quantiles(
                "Duration by service",
                "p95. Bad: above a second.",
                HTTP,
                "job",
                selector='$ns, route!~"/healthz|/readyz|/metrics"',
                red=1,
            ),
        ),
        (
            lines(
                "Failed requests from the gateway to services",
                "`unavailable`: the service cannot be reached. `too slow`: it hangs. `broke off`: its connection broke during the request.",
                (
                    'sum by (upstream, result) (rate(sagashop_upstream_request_duration_seconds_count{$ns, result!="2xx"}[$rate])) > 0',
                    "{{upstream}} {{result}}",
                ),
                unit=Unit.PER_SECOND,
            ),
            quantiles(
                "Time until a service answers the gateway",
                "p95 by service.",
                "sagashop_upstream_request_duration_seconds",
                "upstream",
                red=1,
            ),
            quantiles("Duration by route", "p95 at the gateway.", HTTP, "route", selector=GATEWAY, red=1),
        ),
        (
            lines(
                "Rate limits",
                "Requests answered with 429, and requests counted without Redis. Runbook for the latter: SagashopRedisAway.",
                ("sum(rate(sagashop_rate_limit_refused_total{$ns}[$rate]))", "429"),
                ("sum(rate(sagashop_rate_limit_without_redis_total{$ns}[$rate]))", "without Redis"),
                unit=Unit.PER_SECOND,
            ),
            lines(
                "Logins",
                "Bad: many refused, because somebody may be guessing passwords.",
                (
                    'sum by (outcome) (rate(sagashop_audit_events_total{$ns, action="login"}[$rate]))',
                    "{{outcome}}",
                ),
                ("max(sagashop_passwords_waiting{$ns})", "passwords waiting"),
            ),
            lines(
                "Refused connections",
                "By reason: too large, too slow, malformed, too many.",
                ("sum by (reason) (rate(sagashop_http_connections_refused_total{$ns}[$rate]))", "{{reason}}"),
                unit=Unit.PER_SECOND,
            ),
        ),
        (
            lines(
                "Live orders",
                "Open streams of the replica that has most of them. Bad: half of MAX_CONNECTIONS, where further ones are refused.",
                ("max by (job) (sagashop_streams_open{$ns})", "{{job}}"),
            ),
            lines(
                "Refused streams",
                "`caller`: one caller has too many. `full`: the replica has too many.",
                (
                    "sum by (job, reason) (rate(sagashop_streams_refused_total{$ns}[$rate]))",
                    "{{job}} {{reason}}",
                ),
                unit=Unit.PER_SECOND,
            ),
        ),
    ),
)

PAYMENTS: Final = Board(
    "payments",
    "Payments and refunds",
    "Charges and refunds: the answers of the payment gateway, and refunds that are still open.",
    (
        (ALERTS,),
        (
            lines(
                "Calls to the payment gateway",
                "Bad: `unknown` (no answer) and `refused`. Runbook: SagashopPaymentGatewayFails.",
                (
                    "sum by (call, result) (rate(sagashop_payment_gateway_duration_seconds_count{$ns}[$rate])) > 0",
                    "{{call}} {{result}}",
                ),
                unit=Unit.PER_SECOND,
            ),
            quantiles(
                "Time until the payment gateway answers",
                "p95 by call; after 10 s a call is aborted. Runbook: SagashopPaymentGatewaySlow.",
                "sagashop_payment_gateway_duration_seconds",
                "call",
                red=5,
            ),
            lines(
                "Outcomes of charges and refunds",
                "Bad: unusually many PAYMENT_FAILED, which the payment gateway may cause.",
                (
                    'sum by (type) (rate(sagashop_published_total{$ns, type=~"PAYMENT_.+"}[$rate]))',
                    "{{type}}",
                ),
                unit=Unit.PER_SECOND,
            ),
        ),
        (
            lines(
                "Open refunds",
                "Refunds that the payment gateway has not confirmed, or refuses. Runbook: SagashopRefundRefused.",
                ("max(sagashop_refunds_open{$ns})", "open"),
                ("max(sagashop_refunds_refused{$ns})", "refused"),
            ),
            lines(
                "Oldest open refund",
                "Bad: above an hour. Runbook: SagashopRefundsOverdue.",
                ("max(sagashop_refunds_oldest_seconds{$ns})", "oldest"),
                unit=Unit.SECONDS,
                red=3600,
            ),
            lines(
                "Refunds",
                "Requested and done. Bad: lines that do not match.",
                ("sum by (progress) (sagashop_refunds_total{$ns})", "{{progress}}"),
            ),
        ),
    ),
)

OPERATOR: Final = Board(
    "operator",
    "SagaMonitor",
    "Sweeps of the operator: stuck orders, and their compensation.",
    (
        (ALERTS,),
        (
            states(
                "Degraded",
                "Stale orders are not compensated. Runbook: SagashopMonitorDegraded.",
                'max by (name) (sagamonitor_condition{$ns, type="Degraded"}) == 1',
                "{{name}}",
            ),
            states(
                "Not ready",
                "The monitor cannot do its work. Runbook: SagashopMonitorNotReady.",
                'max by (name) (sagamonitor_condition{$ns, type="Ready"}) < bool 1',
                "{{name}}",
            ),
            lines(
                "Time since the last successful sweep",
                "Bad: above a quarter of an hour. Runbook: SagashopMonitorSilent.",
                (
                    "time() - max by (name) (sagamonitor_last_successful_sweep_timestamp_seconds{$ns})",
                    "{{name}}",
                ),
                unit=Unit.SECONDS,
                red=900,
            ),
        ),
        (
            lines(
                "Stale orders",
                "Orders that the last sweep found, and orders that it left for later.",
                ("max by (name, status) (sagamonitor_stale_orders{$ns})", "{{name}} {{status}}"),
                ("max by (name) (sagamonitor_deferred_orders{$ns})", "{{name}} left for later"),
            ),
            lines(
                "Compensations",
                "Bad: many (SagashopCompensationStorm), and `failed`.",
                (
                    "sum by (outcome) (rate(sagamonitor_compensations_total{$ns}[$rate]))",
                    "{{outcome}}",
                ),
                unit=Unit.PER_SECOND,
            ),
            lines(
                "Sweeps",
                "Bad: `failed`.",
                ("sum by (result) (rate(sagamonitor_sweeps_total{$ns}[$rate]))", "{{result}}"),
                unit=Unit.PER_SECOND,
            ),
        ),
        (
            quantiles("Sweep duration", "How long a sweep takes.", "sagamonitor_sweep_duration_seconds"),
            quantiles(
                "Time until the order service answers",
                "p95 by call.",
                "sagamonitor_order_service_request_duration_seconds",
                "call",
            ),
            lines(
                "Errors of the operator",
                "Failed ticks, and statuses that the Kubernetes API has not accepted yet.",
                ("sum(increase(sagamonitor_failed_ticks_total{$ns}[$rate]))", "failed ticks"),
                ("max(sagamonitor_unsaved_statuses{$ns})", "statuses not saved"),
            ),
        ),
    ),
)

SERVERS: Final = Board(
    "servers",
    "Processes and servers",
    "Usage of CPU, memory, files and disks.",
    (
        (ALERTS,),
        (
            lines(
                "CPU",
                "Cores by pod. A process uses one core. Bad: near 1, where more replicas are needed.",
                ('rate(process_cpu_seconds_total{$ns, pod!=""}[$rate])', "{{pod}}"),
                amber=0.8,
            ),
            lines(
                "Memory",
                "Bad: a line that only rises.",
                ('process_resident_memory_bytes{$ns, pod!=""}', "{{pod}}"),
                unit=Unit.BYTES,
            ),
            lines(
                "Open files",
                "Ratio of the limit.",
                ('process_open_fds{$ns, pod!=""} / process_max_fds', "{{pod}}"),
                unit=Unit.RATIO,
                red=0.8,
            ),
        ),
        (
            lines(
                "RabbitMQ memory",
                "Ratio of the limit, above which it accepts no messages. Runbook: SagashopBrokerAlarm.",
                (
                    "max by (pod) (rabbitmq_process_resident_memory_bytes{$ns} / rabbitmq_resident_memory_limit_bytes)",
                    "{{pod}}",
                ),
                unit=Unit.RATIO,
                amber=0.7,
                red=1,
            ),
            lines(
                "RabbitMQ disk",
                "Free space, and the minimum that it needs. Runbook: SagashopBrokerAlarm.",
                ("min by (pod) (rabbitmq_disk_space_available_bytes{$ns})", "{{pod}} free"),
                ("max by (pod) (rabbitmq_disk_space_available_limit_bytes{$ns})", "{{pod}} minimum"),
                unit=Unit.BYTES,
            ),
            lines(
                "RabbitMQ connections",
                "Two per replica of each service that uses RabbitMQ.",
                ("sum by (pod) (rabbitmq_connections{$ns})", "{{pod}}"),
            ),
        ),
        (
            lines(
                "Free space on volumes",
                "Ratio of free space, by volume. Runbook: SagashopVolumeFillingUp.",
                (
                    'min by (persistentvolumeclaim) (kubelet_volume_stats_available_bytes{$ns, persistentvolumeclaim=~"data-.+"} / kubelet_volume_stats_capacity_bytes)',
                    "{{persistentvolumeclaim}}",
                ),
                unit=Unit.RATIO,
                width=12,
            ),
            lines(
                "Running versions",
                "Replicas by service and version. Two versions of a service mean a release under way.",
                ("count by (name, version) (sagashop_build_info{$ns})", "{{name}} {{version}}"),
                width=12,
            ),
        ),
    ),
)

BOARDS: Final = (SHOP, MESSAGES, REQUESTS, PAYMENTS, OPERATOR, SERVERS)
