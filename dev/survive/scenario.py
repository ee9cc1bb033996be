"""All scenarios: each hurts a shop at work, and returns when the hurting is over."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final, NamedTuple

from dev.survive.scenarios import broker, database, others, replicas, rubbish
from dev.survive.site import COUNTED, PRODUCTS, Site


async def _nothing(_: Site) -> None:
    pass


class Scenario(NamedTuple):
    name: str
    says: str
    # Customers order before, meanwhile, and for a while after.
    hurt: Callable[[Site], Awaitable[None]]
    # Before the first customer comes.
    prepare: Callable[[Site], Awaitable[None]] = _nothing
    # Orders a second that are offered; 0 where the scenario places its own.
    rate: float = 30
    products: int = PRODUCTS
    settings: Mapping[str, str] = {}
    # Whether `--short` without names plays it.
    in_short: bool = True


SCENARIOS: Final = {
    scenario.name: scenario
    for scenario in (
        Scenario(
            "connections",
            "all connections to the broker are closed again and again during a burst",
            broker.connections,
        ),
        Scenario("broker-kill", "the broker is killed with a backlog, five times", broker.killed),
        Scenario(
            "broker-silent",
            "the broker is silent for four minutes, without a reset",
            broker.silent,
            broker.short_heartbeats,
            rate=20,
        ),
        Scenario(
            "memory-alarm",
            "the broker has no memory left for publishers",
            broker.memory_alarm,
            in_short=False,
        ),
        Scenario(
            "disk-alarm", "the broker has no disk left for publishers", broker.disk_alarm, in_short=False
        ),
        Scenario("database-frozen", "the database is frozen for 5 to 90 s", database.frozen),
        Scenario(
            "database-kill", "the database is killed and started again", database.killed, in_short=False
        ),
        Scenario(
            "database-steps-down", "the primary steps down three times", database.steps_down, in_short=False
        ),
        Scenario(
            "one-replica-cut-off",
            "one of three replicas cannot reach the broker: its events are published within 15 s",
            replicas.cut_off,
            replicas.behind_a_proxy,
            settings={"REPLICAS_ORDER": "3"},
            in_short=False,
        ),
        Scenario(
            "killed-before-commit",
            "a replica dies between write and commit of a hot product: others go on within 6 s",
            replicas.killed_before_commit,
            rate=20,
            products=2,
            settings={"REPLICAS_INVENTORY": "3"},
            in_short=False,
        ),
        Scenario(
            "redis-slow",
            "each answer of Redis takes two seconds",
            others.redis_slow,
            lambda site: site.all_by_proxy("redis"),
            settings=COUNTED,
            in_short=False,
        ),
        Scenario(
            "restart-onto-backlog",
            "all services start at once while 20,000 messages wait",
            others.restart_onto_backlog,
            rate=0,
            in_short=False,
        ),
        Scenario(
            "rubbish",
            "invalid messages of every kind are published to every queue",
            rubbish.thrown,
            in_short=False,
        ),
    )
}
