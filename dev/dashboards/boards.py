"""What the six dashboards show. Every panel says what is bad, and where to go then."""

from typing import Final

from dev.dashboards.panels import Board, Unit, lines, number, quantiles, states

ALERTS: Final = states(
    "Alerts",
    "What fires. Each has a page in docs/runbooks, by its name.",
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
    "Do customers get their orders? What is promised, what is kept, what does not go on.",
    (
        (
            number("Orders a second", "Made now.", f"sum(rate({CREATED}[$rate]))", unit=Unit.PER_SECOND),
            number(
                "Late, last hour",
                "Not settled within 10 s; promised are at most 0.5 %. Runbook: SagashopOrdersLateFast.",
                LATE.format("1h"),
                unit=Unit.RATIO,
                amber=0.005,
                red=0.03,
            ),
            number(
                "Allowance used, 3 days",
                "How often what was promised has been used up, at the pace of three days: above 1 it will not last.",
                f"{LATE.format('3d')} / 0.005",
                unit=Unit.RATIO,
                amber=0.7,
                red=1,
            ),
            number(
                "Oldest order now",
                "Above 5 minutes the operator compensates; above 10 nobody does. Runbook: SagashopOrdersStuck.",
                'max(sagashop_orders_oldest_seconds{$ns, status=~"PENDING|CONFIRMED"})',
                unit=Unit.SECONDS,
                amber=60,
                red=600,
            ),
            number(
                "5xx at the gateway, last hour",
                "Promised are at most 0.1 %. Runbook: SagashopGatewayErrorsFast.",
                "max(sagashop:gateway_errors:ratio_rate1h{$ns})",
                unit=Unit.RATIO,
                amber=0.001,
                red=0.006,
            ),
            number(
                "Dead letters",
                "Each is an order that waits for somebody. Runbook: SagashopDeadLetters.",
                'sum(max by (queue) (rabbitmq_detailed_queue_messages_ready{$ns, queue=~".+[.]dlq"}))',
                red=1,
            ),
        ),
        (ALERTS,),
        (
            lines(
                "Orders, by what becomes of them",
                "Made, paid, cancelled. Bad: more are made than end.",
                (f"sum(rate({CREATED}[$rate]))", "made"),
                (
                    'sum by (to) (rate(sagashop_order_transitions_total{$ns, from!="none", to=~"PAID|CANCELLED|REFUNDED"}[$rate]))',
                    "{{to}}",
                ),
                unit=Unit.PER_SECOND,
            ),
            quantiles(
                "Until an order settles",
                "PAID or CANCELLED. Orders that never do are not in it: look at the oldest as well.",
                "sagashop_saga_duration_seconds",
                selector='$ns, outcome=~"PAID|CANCELLED"',
                red=10,
            ),
            lines(
                "Late orders",
                "The share that does not settle within 10 s, of five minutes and of an hour. Above the line it is more than promised.",
                (LATE.format("5m"), "5 minutes"),
                (LATE.format("1h"), "an hour"),
                unit=Unit.RATIO,
                red=0.005,
            ),
        ),
        (
            lines(
                "Open orders",
                "How many wait for what: PENDING for stock, CONFIRMED for money, REFUNDING for money back. Bad: one that only grows.",
                ("max by (status) (sagashop_orders{$ns})", "{{status}}"),
            ),
            lines(
                "Oldest open order",
                "Bad: a line that rises like time itself. Runbook: SagashopOrdersStuck.",
                ("max by (status) (sagashop_orders_oldest_seconds{$ns})", "{{status}}"),
                unit=Unit.SECONDS,
                red=600,
            ),
            lines(
                "Cancelled, by reason",
                "OUT_OF_STOCK and PAYMENT_FAILED are the customers'. SAGA_TIMEOUT is ours. Runbook: SagashopCompensationStorm.",
                ("sum by (reason) (rate(sagashop_compensations_total{$ns}[$rate]))", "{{reason}}"),
                unit=Unit.PER_SECOND,
                stacked=True,
            ),
        ),
        (
            quantiles(
                "Making an order",
                "POST /api/orders at the gateway. Bad: above a second. Runbook: SagashopOrderingSlow.",
                HTTP,
                selector='$ns, job=~".*gateway", method="POST", route="/api/orders"',
                red=1,
            ),
            lines(
                "New orders refused",
                "Too many being under way. Runbook: SagashopOrdersShed.",
                ("sum(rate(sagashop_orders_shed_total{$ns}[$rate]))", "refused"),
                unit=Unit.PER_SECOND,
            ),
            lines(
                "Contradictions",
                "Messages that do not fit what happened. Runbook: SagashopOrdersContradict.",
                ("sum by (source) (increase(sagashop_attention_total{$ns}[$rate]))", "{{source}}"),
            ),
        ),
    ),
)

MESSAGES: Final = Board(
    "messages",
    "Saga and messages",
    "Where does it wait? From the outbox over the queue to the commit.",
    (
        (ALERTS,),
        (
            lines(
                "Messages handled",
                "By queue. Bad: none, while there are orders.",
                ("sum by (queue) (rate(sagashop_consumed_total{$ns}[$rate]))", "{{queue}}"),
                unit=Unit.PER_SECOND,
                stacked=True,
            ),
            lines(
                "Waiting in queues",
                "Ready and handed out. Bad: one that grows. Runbook: SagashopEventsLate.",
                (
                    f"max by (queue) (rabbitmq_detailed_queue_messages_ready{{$ns, {MAIN}}} + rabbitmq_detailed_queue_messages_unacked)",
                    "{{queue}}",
                ),
            ),
            lines(
                "Age of events when they are handled",
                "p90, in whole seconds: how far behind a consumer is. Runbook: SagashopEventsLate.",
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
                "Bad: a queue without any. Runbook: SagashopQueueWithoutConsumer.",
                (f"max by (queue) (rabbitmq_detailed_queue_consumers{{$ns, {MAIN}}})", "{{queue}}"),
            ),
            lines(
                "Retries",
                "`premature`: ahead of its cause. `deferred`: the payment gateway. `failed`: an error of ours. Runbook: SagashopConsumerRetries.",
                (
                    "sum by (kind) (rate(sagashop_consumer_retries_total{$ns}[$rate]))",
                    "{{kind}}",
                ),
                unit=Unit.PER_SECOND,
            ),
            lines(
                "Dead letters",
                "What waits in them. Runbook: SagashopDeadLetters.",
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
                "That wait for the broker.",
                ("max by (job) (sagashop_outbox_rows{$ns})", "{{job}}"),
            ),
            lines(
                "Not published",
                "`connection lost` passes; `no queue` is a missing binding. Runbook: SagashopPublishRefused.",
                ("sum by (reason) (rate(sagashop_publish_failures_total{$ns}[$rate]))", "{{reason}}"),
                unit=Unit.PER_SECOND,
            ),
        ),
        (
            quantiles(
                "Commit",
                "p95 from a batch to its commit, by service. Bad: above a second.",
                "sagashop_commit_duration_seconds",
                "job",
                red=1,
            ),
            lines(
                "Transactions that failed",
                "`conflict` and `taken` are other replicas. Runbook for the others: SagashopTransactionsFail.",
                (
                    'sum by (result) (rate(sagashop_transactions_total{$ns, result!="committed"}[$rate]))',
                    "{{result}}",
                ),
                unit=Unit.PER_SECOND,
            ),
            lines(
                "Waiting for a batch",
                "The first sign of more work than can be done.",
                ("sum by (job, kind) (sagashop_commit_waiting{$ns})", "{{job}} {{kind}}"),
            ),
        ),
        (
            lines(
                "Messages in a transaction",
                "On average. It grows with the load: that is what makes it bear more.",
                (
                    "sum by (job) (rate(sagashop_commit_batch_size_sum{$ns}[$rate])) / sum by (job) (rate(sagashop_commit_batch_size_count{$ns}[$rate]))",
                    "{{job}}",
                ),
            ),
            lines(
                "Handled before",
                "Repeats of messages and commands. No harm, and many after an outage.",
                ("sum by (source) (rate(sagashop_duplicates_total{$ns}[$rate]))", "{{source}}"),
                unit=Unit.PER_SECOND,
            ),
            states(
                "Cut off from the broker",
                "By service, no replica connected. Runbook: SagashopBrokerDisconnected.",
                "1 - max by (job) (sagashop_broker_connected{$ns})",
                "{{job}}",
            ),
        ),
        (
            lines(
                "Calls of webhooks",
                "By what came of them. `unanswered`: a name, a certificate, 15 s. Runbook: SagashopWebhookEndpointFails.",
                (
                    "sum by (result) (rate(sagashop_webhook_call_duration_seconds_count{$ns}[$rate]))",
                    "{{result}}",
                ),
                unit=Unit.PER_SECOND,
            ),
            lines(
                "Deliveries of webhooks that wait",
                "Many are an endpoint that is away: they are tried for three days.",
                ("max(sagashop_webhook_deliveries_waiting{$ns})", "waiting"),
            ),
            lines(
                "Webhooks behind",
                "What nobody was told of yet: bad above two minutes. Runbook: SagashopWebhooksNotSent.",
                ("max(sagashop_webhook_untold_oldest_seconds{$ns})", "not told"),
                unit=Unit.SECONDS,
                red=120,
            ),
        ),
        (
            lines(
                "Shipments",
                "Where the shop has a fulfilment service. Bad: asked for, and neither shipped nor refused.",
                ('sum(rate(sagashop_published_total{$ns, type="SHIPMENT_REQUEST"}[$rate]))', "asked for"),
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
    "Rate, errors and duration, at the gateway and behind it.",
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
                "Answered 5xx, by service",
                "The gateway's own are those of a service that it cannot reach. Runbook: SagashopGatewayErrorsFast.",
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
                "What the services answer the gateway",
                "`unavailable`: it is not there. `too slow`: it hangs. `broke off`: it died over it.",
                (
                    'sum by (upstream, result) (rate(sagashop_upstream_request_duration_seconds_count{$ns, result!="2xx"}[$rate])) > 0',
                    "{{upstream}} {{result}}",
                ),
                unit=Unit.PER_SECOND,
            ),
            quantiles(
                "Until a service answers the gateway",
                "p95 by service.",
                "sagashop_upstream_request_duration_seconds",
                "upstream",
                red=1,
            ),
            quantiles("Duration by route", "p95 at the gateway.", HTTP, "route", selector=GATEWAY, red=1),
        ),
        (
            lines(
                "Limited",
                "429, and requests that one replica counted alone. Runbook for those: SagashopRedisAway.",
                ("sum(rate(sagashop_rate_limit_refused_total{$ns}[$rate]))", "429"),
                ("sum(rate(sagashop_rate_limit_without_redis_total{$ns}[$rate]))", "without Redis"),
                unit=Unit.PER_SECOND,
            ),
            lines(
                "Logins",
                "Bad: many refused, which is somebody who tries passwords.",
                (
                    'sum by (outcome) (rate(sagashop_audit_events_total{$ns, action="login"}[$rate]))',
                    "{{outcome}}",
                ),
                ("max(sagashop_passwords_waiting{$ns})", "passwords waiting"),
            ),
            lines(
                "Connections refused",
                "Too large, too slow, malformed, too many.",
                ("sum by (reason) (rate(sagashop_http_connections_refused_total{$ns}[$rate]))", "{{reason}}"),
                unit=Unit.PER_SECOND,
            ),
        ),
        (
            lines(
                "Live orders",
                "Streams that are open, at the replica that has most of them. Bad: half of MAX_CONNECTIONS, when more are refused.",
                ("max by (job) (sagashop_streams_open{$ns})", "{{job}}"),
            ),
            lines(
                "Streams refused",
                "`caller`: one has too many. `full`: all together have.",
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
    "Money on its way: what the gateway answers, and what is still owed.",
    (
        (ALERTS,),
        (
            lines(
                "Calls of the gateway",
                "Bad: `unknown` (no answer) and `refused`. Runbook: SagashopPaymentGatewayFails.",
                (
                    "sum by (call, result) (rate(sagashop_payment_gateway_duration_seconds_count{$ns}[$rate])) > 0",
                    "{{call}} {{result}}",
                ),
                unit=Unit.PER_SECOND,
            ),
            quantiles(
                "Until the gateway answers",
                "p95 by call; at 10 s it is given up. Runbook: SagashopPaymentGatewaySlow.",
                "sagashop_payment_gateway_duration_seconds",
                "call",
                red=5,
            ),
            lines(
                "What became of charges",
                "Bad: PAYMENT_FAILED as never before, which may be the gateway's doing.",
                (
                    'sum by (type) (rate(sagashop_published_total{$ns, type=~"PAYMENT_.+"}[$rate]))',
                    "{{type}}",
                ),
                unit=Unit.PER_SECOND,
            ),
        ),
        (
            lines(
                "Refunds under way",
                "That the gateway has not confirmed, or refuses. Runbook: SagashopRefundRefused.",
                ("max(sagashop_refunds_open{$ns})", "open"),
                ("max(sagashop_refunds_refused{$ns})", "refused"),
            ),
            lines(
                "Oldest refund under way",
                "Bad: an hour. Runbook: SagashopRefundsOverdue.",
                ("max(sagashop_refunds_oldest_seconds{$ns})", "oldest"),
                unit=Unit.SECONDS,
                red=3600,
            ),
            lines(
                "Refunds",
                "Asked for, and done. The lines should lie on each other.",
                ("sum by (progress) (sagashop_refunds_total{$ns})", "{{progress}}"),
            ),
        ),
    ),
)

OPERATOR: Final = Board(
    "operator",
    "SagaMonitor",
    "Who looks after orders that got stuck, and what is done about them.",
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
                "It cannot do its work. Runbook: SagashopMonitorNotReady.",
                'max by (name) (sagamonitor_condition{$ns, type="Ready"}) < bool 1',
                "{{name}}",
            ),
            lines(
                "Since the last good sweep",
                "Bad: a quarter of an hour. Runbook: SagashopMonitorSilent.",
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
                "Found by the last sweep, and left for later ones.",
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
            quantiles("A sweep", "How long it takes.", "sagamonitor_sweep_duration_seconds"),
            quantiles(
                "Until the order service answers",
                "p95 by call.",
                "sagamonitor_order_service_request_duration_seconds",
                "call",
            ),
            lines(
                "Faults of the operator",
                "Ticks that failed, statuses that the API has not taken yet.",
                ("sum(increase(sagamonitor_failed_ticks_total{$ns}[$rate]))", "failed ticks"),
                ("max(sagamonitor_unsaved_statuses{$ns})", "statuses not saved"),
            ),
        ),
    ),
)

SERVERS: Final = Board(
    "servers",
    "Processes and servers",
    "What is used up: CPU, memory, files, disks.",
    (
        (ALERTS,),
        (
            lines(
                "CPU",
                "Cores, by pod. A service has one: near 1 it needs replicas.",
                ('rate(process_cpu_seconds_total{$ns, pod!=""}[$rate])', "{{pod}}"),
                amber=0.8,
            ),
            lines(
                "Memory",
                "Bad: one that only rises.",
                ('process_resident_memory_bytes{$ns, pod!=""}', "{{pod}}"),
                unit=Unit.BYTES,
            ),
            lines(
                "Open files",
                "Of what is allowed.",
                ('process_open_fds{$ns, pod!=""} / process_max_fds', "{{pod}}"),
                unit=Unit.RATIO,
                red=0.8,
            ),
        ),
        (
            lines(
                "RabbitMQ's memory",
                "Of what it may have before it takes nothing more. Runbook: SagashopBrokerAlarm.",
                (
                    "max by (pod) (rabbitmq_process_resident_memory_bytes{$ns} / rabbitmq_resident_memory_limit_bytes)",
                    "{{pod}}",
                ),
                unit=Unit.RATIO,
                amber=0.7,
                red=1,
            ),
            lines(
                "RabbitMQ's disk",
                "Free, and the least it needs. Runbook: SagashopBrokerAlarm.",
                ("min by (pod) (rabbitmq_disk_space_available_bytes{$ns})", "{{pod}} free"),
                ("max by (pod) (rabbitmq_disk_space_available_limit_bytes{$ns})", "{{pod}} least"),
                unit=Unit.BYTES,
            ),
            lines(
                "Connections of RabbitMQ",
                "Two for each replica of an engine.",
                ("sum by (pod) (rabbitmq_connections{$ns})", "{{pod}}"),
            ),
        ),
        (
            lines(
                "Room on volumes",
                "Of each server's. Runbook: SagashopVolumeFillingUp.",
                (
                    'min by (persistentvolumeclaim) (kubelet_volume_stats_available_bytes{$ns, persistentvolumeclaim=~"data-.+"} / kubelet_volume_stats_capacity_bytes)',
                    "{{persistentvolumeclaim}}",
                ),
                unit=Unit.RATIO,
                width=12,
            ),
            lines(
                "Versions that run",
                "Replicas by service and version: two versions of a service are a release under way.",
                ("count by (name, version) (sagashop_build_info{$ns})", "{{name}} {{version}}"),
                width=12,
            ),
        ),
    ),
)

BOARDS: Final = (SHOP, MESSAGES, REQUESTS, PAYMENTS, OPERATOR, SERVERS)
