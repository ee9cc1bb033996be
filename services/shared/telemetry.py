"""What an operator sees: Prometheus metrics, OpenTelemetry traces, the trace and the request one is in."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import product
from typing import Final

from opentelemetry import trace
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, TraceFlags
from prometheus_client import Gauge, Histogram, disable_created_metrics
from prometheus_client.metrics import MetricWrapperBase

LATENCY_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

# When a series was born tells nobody anything, and there would be one more for each.
disable_created_metrics()  # type: ignore[no-untyped-call]  # the library has no types for it
HTTP_DURATION: Final = Histogram(
    "sagashop_http_request_duration_seconds",
    "HTTP requests, by route template",
    ["method", "route", "status"],
    buckets=LATENCY_BUCKETS,
)

BUILD: Final = Gauge("sagashop_build_info", "1; which version of which service that is", ["name", "version"])

# Of later versions of the standard, too: they may add parts, the first ones stay.
_TRACEPARENT: Final = re.compile(r"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")
_tracer = trace.get_tracer("sagashop")
_NOT_RECORDING: Final = trace.INVALID_SPAN
_current: ContextVar[str | None] = ContextVar("traceparent", default=None)
_state: ContextVar[str | None] = ContextVar("tracestate", default=None)
_request: ContextVar[str | None] = ContextVar("request id", default=None)
# W3C: a longer one need not be passed on.
TRACESTATE_LIMIT: Final = 512
# The request's id travels with its trace, as the entry of a vendor that we are: docs/adr/0023.
_OUR_ENTRY: Final = re.compile(r"(?:^|,)[ \t]*sagashop=([A-Za-z0-9._-]{1,64})[ \t]*(?=,|$)")


def at_zero(metric: MetricWrapperBase, *values: Iterable[str]) -> None:
    """Makes the series of these values of its labels, each with each.

    A counter that is born at 1 never rose, to whoever asks by how much it did: the first of its kind after a
    start would be nobody's.
    """
    for labels in product(*values):
        metric.labels(*labels)


def setup(service: str) -> None:
    """Configures the traces of this process.

    The SDK reads the standard variables: OTEL_EXPORTER_OTLP_ENDPOINT says where traces go,
    OTEL_TRACES_SAMPLER and OTEL_TRACES_SAMPLER_ARG say which.
    """
    exported = bool(os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"))
    resource = Resource.create({SERVICE_NAME: os.environ.get("OTEL_SERVICE_NAME", service)})
    # Without an exporter nothing is recorded, but requests get trace ids all the same: logs show them.
    sampler = None if exported else ALWAYS_OFF
    provider = TracerProvider(resource=resource, sampler=sampler)
    if exported:
        # Where traces go nowhere, a service starts without it, and sooner.
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415

        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)


def shutdown() -> None:
    """Sends the spans that are still buffered."""
    provider = trace.get_tracer_provider()
    if isinstance(provider, TracerProvider):
        provider.shutdown()


def parse(traceparent: str | None) -> SpanContext | None:
    """The W3C trace context in `traceparent`, or None when it is not one."""
    match = _TRACEPARENT.fullmatch(traceparent or "")
    if match is None:
        return None
    of_trace, of_span, flags = (int(part, 16) for part in match.groups())
    context = SpanContext(of_trace, of_span, is_remote=True, trace_flags=TraceFlags(flags))
    return context if context.is_valid else None


def trace_id(traceparent: str | None) -> str | None:
    """For logs: the trace that a message belongs to."""
    context = parse(traceparent)
    return f"{context.trace_id:032x}" if context else None


def render(context: SpanContext) -> str:
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def start_span(
    name: str, parent: str | None, kind: SpanKind, attributes: Mapping[str, str], *, link: str | None = None
) -> tuple[Span, str | None]:
    """A span under `parent`, with the traceparent of what happens inside it.

    `link`: another trace that it has to do with, as a traceparent.

    An unsampled parent is passed on as it is: at 5 % sampling most messages cost no span at all. A parent
    that is no trace context, as any client may send us, is not passed on.
    """
    context = parse(parent)
    if context is not None and not context.trace_flags.sampled:
        return _NOT_RECORDING, parent
    above = trace.set_span_in_context(trace.NonRecordingSpan(context)) if context else None
    linked = parse(link)
    links = [Link(linked)] if linked else None
    span = _tracer.start_span(name, context=above, kind=kind, attributes=dict(attributes), links=links)
    own = span.get_span_context()
    return span, render(own) if own.is_valid else (parent if context else None)


@contextmanager
def within(
    traceparent: str | None, tracestate: str | None = None, request_id: str | None = None
) -> Iterator[None]:
    """What is logged and asked of others in here belongs to that trace and request."""
    tokens = (
        _current.set(traceparent),
        _state.set(with_request(state_of(tracestate), request_id)),
        _request.set(request_id),
    )
    try:
        yield
    finally:
        for variable, token in zip((_current, _state, _request), tokens, strict=True):
            variable.reset(token)


def state_of(text: str | None) -> str | None:
    """A tracestate that may be passed on: printable ASCII, and not too long."""
    passes = text is not None and len(text) <= TRACESTATE_LIMIT and text.isascii() and text.isprintable()
    return text if passes else None


def with_request(tracestate: str | None, request_id: str | None) -> str | None:
    """`tracestate` with the request's id as its first entry; what does not fit any more is left out."""
    if request_id is None:
        return tracestate
    own = f"sagashop={request_id}"
    others = _OUR_ENTRY.sub("", tracestate or "").lstrip(", ")
    if not others:
        return own
    whole = f"{own},{others}"
    return whole if len(whole) <= TRACESTATE_LIMIT else whole[: TRACESTATE_LIMIT + 1].rpartition(",")[0]


def request_of(tracestate: str | None) -> str | None:
    """The id of the request that a message goes back to."""
    found = _OUR_ENTRY.search(tracestate or "")
    return found.group(1) if found else None


def current_tracestate() -> str | None:
    return _state.get()


def current_traceparent() -> str | None:
    return _current.get()


def onward() -> dict[str, str]:
    """The headers by which another service knows that it is asked for the same request."""
    traceparent = _current.get()
    # W3C: a state of no trace says nothing.
    state = _state.get() if traceparent else None
    headers = {"traceparent": traceparent, "tracestate": state, "x-request-id": _request.get()}
    return {name: value for name, value in headers.items() if value}


def current_request_id() -> str | None:
    return _request.get()
