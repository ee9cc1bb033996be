"""Receives traces over OTLP/HTTP, as a collector would, and keeps every span."""

import gzip
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True)
class Span:
    service: str
    name: str
    trace_id: str
    span_id: str
    parent_id: str
    order_id: str | None


@dataclass
class Traces:
    endpoint: str
    spans: list[Span] = field(default_factory=list)
    # As they came, with all attributes.
    exported: list[bytes] = field(default_factory=list)

    def of(self, trace_id: str) -> list[Span]:
        return [span for span in self.spans if span.trace_id == trace_id]

    def about(self, order_id: str) -> list[Span]:
        return [span for span in self.spans if span.order_id == order_id]


@contextmanager
def receiving() -> Iterator[Traces]:
    server = _Server(("127.0.0.1", 0), _Receiver)
    server.daemon_threads = True
    traces = Traces(f"http://127.0.0.1:{server.server_port}")
    server.traces = traces  # type: ignore[attr-defined]  # the way to a handler
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield traces
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Services that are killed leave their connections as they are."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:  # http.server's name for it
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        traces: Traces = self.server.traces  # type: ignore[attr-defined]  # receiving puts it there
        traces.exported.append(body)
        traces.spans.extend(_spans(body))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name in http.server
        """Not to the test's output."""


def _spans(body: bytes) -> Iterator[Span]:
    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        names = {each.key: each.value.string_value for each in resource.resource.attributes}
        for scope in resource.scope_spans:
            for span in scope.spans:
                attributes = {each.key: each.value.string_value for each in span.attributes}
                yield Span(
                    names["service.name"],
                    span.name,
                    span.trace_id.hex(),
                    span.span_id.hex(),
                    span.parent_span_id.hex(),
                    attributes.get("correlation.id"),
                )
