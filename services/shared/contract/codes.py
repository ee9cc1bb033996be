"""The names of the problems that the API answers with: clients compare them, people read the sentences."""

from enum import StrEnum


class Code(StrEnum):
    """Each has its status, title and explanation in `services/shared/http/kinds.py` and docs/errors.md."""

    MALFORMED_JSON = "malformed-json"
    MALFORMED_PATH = "malformed-path"
    MALFORMED_REQUEST = "malformed-request"
    HEADER_REPEATED = "header-repeated"
    SIGNATURE_REFUSED = "signature-refused"
    IDEMPOTENCY_KEY_REQUIRED = "idempotency-key-required"
    TOKEN_MISSING = "token-missing"  # noqa: S105  # a name
    TOKEN_INVALID = "token-invalid"  # noqa: S105  # a name
    TOKEN_EXPIRED = "token-expired"  # noqa: S105  # a name
    LOGIN_FAILED = "login-failed"
    TOTP_REQUIRED = "totp-required"
    TOTP_REFUSED = "totp-refused"
    REFRESH_TOKEN_REFUSED = "refresh-token-refused"  # noqa: S105  # a name
    ACCOUNT_GONE = "account-gone"
    FORBIDDEN = "forbidden"
    ORIGIN_REFUSED = "origin-refused"
    NOT_FOUND = "not-found"
    NO_SUCH_PATH = "no-such-path"
    METHOD_NOT_ALLOWED = "method-not-allowed"
    REQUEST_TOO_SLOW = "request-too-slow"
    STATE_FORBIDS = "state-forbids"
    EMAIL_TAKEN = "email-taken"
    PRECONDITION_FAILED = "precondition-failed"
    BODY_TOO_LARGE = "body-too-large"
    UNSUPPORTED_MEDIA_TYPE = "unsupported-media-type"
    INVALID = "invalid"
    MAIL_TOKEN_REFUSED = "mail-token-refused"  # noqa: S105  # a name
    UNKNOWN_PRODUCT = "unknown-product"
    MIXED_CURRENCIES = "mixed-currencies"
    TOTAL_TOO_LARGE = "total-too-large"
    IDEMPOTENCY_KEY_REUSED = "idempotency-key-reused"
    PRECONDITION_REQUIRED = "precondition-required"
    RATE_LIMITED = "rate-limited"
    TOO_MANY_STREAMS = "too-many-streams"
    HEADERS_TOO_LARGE = "headers-too-large"
    INTERNAL_ERROR = "internal-error"
    SERVICE_BROKE_OFF = "service-broke-off"
    UNAVAILABLE = "unavailable"
    OVERLOADED = "overloaded"
    SERVICE_TOO_SLOW = "service-too-slow"
