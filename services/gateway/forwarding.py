"""Which headers go on to a service, and which come back from it: pure."""

from collections.abc import Iterable, Mapping
from typing import Final, TypeAlias

Headers: TypeAlias = Iterable[tuple[bytes, bytes]]

# RFC 9110, 7.6.1: between two neighbours only.
_HOP_BY_HOP: Final = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
# Framing is made anew. Only the gateway says who the caller is: what strangers say about it is dropped.
_OURS: Final = frozenset(
    {
        b"host",
        b"content-length",
        b"expect",
        b"forwarded",
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-port",
        b"x-forwarded-proto",
        b"x-real-ip",
        b"x-request-id",
        b"traceparent",
        b"tracestate",
    }
)
_NOT_ON: Final = _HOP_BY_HOP | _OURS
# Our server states its own date, and each answer gets the request's id from us.
_NOT_BACK: Final = _HOP_BY_HOP | {b"date", b"server", b"x-request-id"}


def onward(headers: Headers, own: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the headers for a service: the caller's without those of the connection, and ours."""
    headers = list(headers)
    dropped = _NOT_ON | _named_by_connection(headers)
    # Header bytes beyond ASCII have no meaning in HTTP; this keeps them from being an error.
    kept = [
        (name.decode("latin-1"), value.decode("latin-1")) for name, value in headers if name not in dropped
    ]
    kept.extend(own.items())
    return kept


def back(headers: Headers) -> list[tuple[bytes, bytes]]:
    """Return the headers for the caller: the service's without those of the connection."""
    lowered = [(name.lower(), value) for name, value in headers]
    dropped = _NOT_BACK | _named_by_connection(lowered)
    return [(name, value) for name, value in lowered if name not in dropped]


def _named_by_connection(headers: Headers) -> frozenset[bytes]:
    return frozenset(
        part.strip().lower() for name, value in headers if name == b"connection" for part in value.split(b",")
    )
