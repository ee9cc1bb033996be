"""Networks that fail on purpose: a proxy that cuts and silences, and AMQP that no library writes."""

from dev.faults.proxy import Direction, Proxy

__all__ = ["Direction", "Proxy"]
