"""What is done to a shop at work: each fault, what it is done to, and who is called for it."""

from functools import partial
from typing import Final, NamedTuple

from dev.chaos import servers, services
from dev.chaos.meanwhile import During
from dev.chaos.servers import all_of, on_the_way, primary
from dev.faults import Proxy
from dev.stripe_double.way import PAYMENT_GATEWAY
from dev.survive.scenarios.broker import DISK_ALARM, MEMORY_ALARM
from dev.survive.scenarios.others import REDIS_DELAY_SECONDS

# There and back, each.
BROKER_DELAY_SECONDS: Final = 0.3
DATABASE_DELAY_SECONDS: Final = 0.1
GATEWAY_DELAY_SECONDS: Final = 3.0
TRICKLE_BYTES_PER_SECOND: Final = 20_000.0
# It stops its publishers at less than 50 MB, and does not survive the last byte.
BROKER_LEFT_BYTES: Final = 30 * 2**20
BROKER: Final = all_of("rabbitmq")
DATABASE: Final = all_of("mongodb")
REDIS: Final = all_of("redis")
GATEWAY: Final = servers.proxy(PAYMENT_GATEWAY)
ALARM: Final = "SagashopBrokerAlarm"


class Fault(NamedTuple):
    name: str
    says: str
    # What it is done to; two faults at the same time are done to different things.
    target: str
    during: During
    # Who is called when it lasts; empty where nobody needs to be.
    alert: str = ""


_trickles = partial(Proxy.trickle, bytes_per_second=TRICKLE_BYTES_PER_SECOND)
_unheard = partial(Proxy.silence, direction="down")

OF_BROKER: Final = (
    Fault(
        "broker-killed", "RabbitMQ is killed", "broker", servers.killed(BROKER), "SagashopBrokerDisconnected"
    ),
    Fault("broker-frozen", "RabbitMQ is frozen (SIGSTOP)", "broker", servers.frozen(BROKER)),
    Fault(
        "broker-cut-off",
        "the network silently drops everything to and from RabbitMQ",
        "broker",
        on_the_way(BROKER, Proxy.silence),
    ),
    Fault(
        "broker-far-away",
        "RabbitMQ answers 0.6 s late",
        "broker",
        on_the_way(BROKER, partial(Proxy.delay, seconds=BROKER_DELAY_SECONDS)),
    ),
    Fault(
        "broker-trickles",
        "the network carries only 20 kB/s to and from RabbitMQ",
        "broker",
        on_the_way(BROKER, _trickles),
    ),
    Fault(
        "connections-closed",
        "RabbitMQ closes all connections every 2 s",
        "broker",
        servers.connections_closed,
    ),
    Fault("memory-alarm", "RabbitMQ has no memory left", "broker", servers.alarm(*MEMORY_ALARM), ALARM),
    Fault("disk-alarm", "RabbitMQ has too little disk left", "broker", servers.alarm(*DISK_ALARM), ALARM),
    Fault(
        "broker-disk-full",
        "RabbitMQ's disk is full except for 30 MB",
        "broker",
        servers.disk_full(BROKER, leaving=BROKER_LEFT_BYTES),
        ALARM,
    ),
)
OF_DATABASE: Final = (
    Fault("database-killed", "all members of MongoDB are killed", "database", servers.killed(DATABASE)),
    Fault("database-frozen", "all members of MongoDB are frozen", "database", servers.frozen(DATABASE)),
    Fault(
        "database-disk-full",
        "the disks of all MongoDB members are full",
        "database",
        servers.disk_full(DATABASE),
    ),
    Fault(
        "database-cut-off",
        "the network silently drops everything to and from MongoDB",
        "database",
        on_the_way(DATABASE, Proxy.silence),
    ),
    Fault(
        "database-unheard",
        "MongoDB carries out commands, but its answers are lost",
        "database",
        on_the_way(DATABASE, _unheard),
    ),
    Fault(
        "database-far-away",
        "MongoDB answers 0.2 s late",
        "database",
        on_the_way(DATABASE, partial(Proxy.delay, seconds=DATABASE_DELAY_SECONDS)),
    ),
    Fault(
        "database-trickles",
        "the network carries only 20 kB/s to and from MongoDB",
        "database",
        on_the_way(DATABASE, _trickles),
    ),
    Fault(
        "database-resets",
        "all connections to MongoDB are reset every 2 s",
        "database",
        servers.reset_again_and_again(DATABASE),
    ),
    Fault("primary-killed", "MongoDB's primary is killed", "database", servers.killed(primary)),
    Fault("primary-frozen", "MongoDB's primary is frozen", "database", servers.frozen(primary)),
    Fault("primary-steps-down", "MongoDB's primary steps down every 6 s", "database", servers.steps_down),
    Fault(
        "primary-cut-off",
        "the services cannot reach MongoDB's primary, but its other members can",
        "database",
        on_the_way(primary, Proxy.silence),
    ),
    Fault(
        "primary-disk-full", "the disk of MongoDB's primary is full", "database", servers.disk_full(primary)
    ),
)
OF_REDIS: Final = (
    Fault("redis-killed", "Redis is killed", "redis", servers.killed(REDIS)),
    Fault("redis-emptied", "Redis loses all its data", "redis", servers.redis_emptied),
    Fault(
        "redis-cut-off",
        "the network silently drops everything to and from Redis",
        "redis",
        on_the_way(REDIS, Proxy.silence),
    ),
    Fault(
        "redis-slow",
        "Redis answers 2 s late",
        "redis",
        on_the_way(REDIS, partial(Proxy.delay, seconds=REDIS_DELAY_SECONDS, direction="down")),
    ),
)
OF_PAYMENT_GATEWAY: Final = (
    Fault(
        "payment-gateway-away",
        "the payment gateway refuses connections",
        "payment gateway",
        on_the_way(GATEWAY, servers.away),
    ),
    Fault(
        "payment-gateway-slow",
        "the payment gateway answers 3 s late",
        "payment gateway",
        on_the_way(GATEWAY, partial(Proxy.delay, seconds=GATEWAY_DELAY_SECONDS, direction="down")),
    ),
    Fault(
        "payment-gateway-unheard",
        "the payment gateway charges, but its answers are lost",
        "payment gateway",
        on_the_way(GATEWAY, _unheard),
    ),
)
OF_SERVICES: Final = (
    Fault("replicas-killed", "one replica after another is killed", "services", services.replicas_killed),
    Fault("replica-frozen", "one replica is frozen", "services", services.replica_frozen),
    Fault(
        "service-gone",
        "all replicas of one service are stopped",
        "services",
        services.service_gone,
        "SagashopServiceMissing",
    ),
    Fault(
        "clock-steps",
        "the clock of a service goes 25 s ahead, then 50 s back, every 4 s",
        "services",
        services.clock_steps,
    ),
    Fault(
        "crash-points",
        "every 2 s a process dies at a critical point, such as between write and commit",
        "services",
        services.dies_where_it_hurts,
    ),
)
FAULTS: Final = {
    fault.name: fault for fault in (*OF_BROKER, *OF_DATABASE, *OF_REDIS, *OF_PAYMENT_GATEWAY, *OF_SERVICES)
}
