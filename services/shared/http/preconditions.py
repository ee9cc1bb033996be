"""What a request has to be before anybody looks at what it asks for: its path, its size, its media type."""

from collections.abc import Mapping
from typing import Final

from starlette.types import Scope

from services.shared.contract.codes import Code
from services.shared.contract.ids import LOOKS_LIKE
from services.shared.http.once import repeated
from services.shared.http.problems import Problem
from services.shared.http.validation import Fault
from services.shared.settings import BODY_LIMIT_BYTES, WEBHOOK_LIMIT_BYTES

JSON: Final = b"application/json"
# What a browser makes of a page's form.
FORM: Final = b"application/x-www-form-urlencoded"
# Where payment gateways say something by themselves.
WEBHOOKS: Final = b"/api/payments/webhooks/"
# As of /api/orders; below them are ids.
SEGMENTS_OF_A_LIST: Final = 2


def limit_of(path: bytes) -> int:
    """How many bytes a body may have that is sent to this path."""
    return WEBHOOK_LIMIT_BYTES if path.startswith(WEBHOOKS) else BODY_LIMIT_BYTES


def check(scope: Scope, headers: Mapping[bytes, bytes], takes: bytes = JSON) -> None:
    """Raises Problem for what no route has to see. `takes`: JSON or FORM, as which bodies come."""
    if name := repeated(scope["headers"], headers):
        raise Problem(Code.HEADER_REPEATED, f"send the header {name} once")
    _check_slashes(scope["raw_path"])
    length = headers.get(b"content-length")
    limit = limit_of(scope["raw_path"])
    if length is not None and int(length) > limit:
        raise too_large(limit)
    if length not in {None, b"0"} or b"transfer-encoding" in headers:
        _check_media_type(headers, takes)


def _check_slashes(raw_path: bytes) -> None:
    """Routes would take a slash in disguise for the end of a segment. What names something else is an id."""
    slashed = [b"%2f" in segment for segment in raw_path.lower().split(b"/")[1:]]
    if any(slashed[:SEGMENTS_OF_A_LIST]):
        raise Problem(Code.MALFORMED_PATH, "the path has a slash that is written as %2F: write it as it is")
    if any(slashed):
        raise Problem(Code.INVALID, f"path: {LOOKS_LIKE}", errors=[Fault("path", (), LOOKS_LIKE).member()])


def too_large(limit: int) -> Problem:
    return Problem(Code.BODY_TOO_LARGE, f"a body may have {limit} bytes at most")


def _check_media_type(headers: Mapping[bytes, bytes], takes: bytes) -> None:
    encoding = headers.get(b"content-encoding", b"identity").strip().lower()
    if encoding != b"identity":
        raise _unsupported(
            f"send the body as it is, without Content-Encoding: {_printable(encoding)}",
            {"Accept-Encoding": "identity"},
        )
    given = headers.get(b"content-type", b"")
    kind = given.partition(b";")[0].strip().lower()
    is_json = kind.startswith(b"application/") and kind.endswith(b"+json")
    if kind != takes and not (takes == JSON and is_json):
        found = f"not {_printable(given)}" if given else "which is missing"
        wanted, name = ("JSON" if takes == JSON else "a form"), takes.decode()
        raise _unsupported(f"send {wanted}, with Content-Type: {name}, {found}", {"Accept": name})


def _unsupported(detail: str, headers: Mapping[str, str]) -> Problem:
    return Problem(Code.UNSUPPORTED_MEDIA_TYPE, detail, headers)


def _printable(value: bytes) -> str:
    return value.decode("latin-1")[:100]
