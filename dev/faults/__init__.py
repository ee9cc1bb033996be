"""Faults on purpose: a proxy that cuts and silences, AMQP that no library writes, processes that die."""

from dev.faults.proxy import Direction, Proxy

__all__ = ["Direction", "Proxy"]
