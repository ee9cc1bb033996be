"""Every kind of problem: its status, its title, what it means.

`python -m services.shared.http.kinds --write docs/errors.md` writes the page about them. The `type` of a
problem leads to its entry in the gateway's page /errors, which says the same.
"""

import sys
from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Final, NamedTuple

from services.shared.contract.codes import Code

PAGE: Final = "/errors"


class Kind(NamedTuple):
    status: HTTPStatus
    title: str
    # What happened, and what a client does about it.
    meaning: str


_AGAIN: Final = (
    "Send the same request again, with the same Idempotency-Key, after the seconds in `Retry-After`."
)
KINDS: Final[dict[Code, Kind]] = {
    Code.MALFORMED_JSON: Kind(
        HTTPStatus.BAD_REQUEST,
        "Malformed JSON",
        "The body is not JSON. Use a JSON library to write it.",
    ),
    Code.MALFORMED_PATH: Kind(
        HTTPStatus.BAD_REQUEST,
        "Malformed path",
        "The path has an empty segment, a dot segment, or a character that servers on the way may interpret"
        " differently.",
    ),
    Code.MALFORMED_REQUEST: Kind(
        HTTPStatus.BAD_REQUEST,
        "Malformed request",
        "This is not HTTP/1.1. Use an HTTP library, and the address and port of the gateway.",
    ),
    Code.HEADER_REPEATED: Kind(
        HTTPStatus.BAD_REQUEST,
        "Header repeated",
        "A header that may be sent only once was sent twice, so it is unclear which one counts.",
    ),
    Code.SIGNATURE_REFUSED: Kind(
        HTTPStatus.BAD_REQUEST,
        "Signature refused",
        "The webhook is not signed with a secret that the shop knows, or was signed more than five minutes"
        " ago.",
    ),
    Code.IDEMPOTENCY_KEY_REQUIRED: Kind(
        HTTPStatus.BAD_REQUEST,
        "Idempotency-Key required",
        "If this request is sent twice, it is carried out twice. Send an `Idempotency-Key`: a new one for"
        " each new request, and the same one when you retry a request.",
    ),
    Code.TOKEN_MISSING: Kind(
        HTTPStatus.UNAUTHORIZED,
        "Token missing",
        "Log in with `POST /auth/login`, and send `Authorization: Bearer <accessToken>`.",
    ),
    Code.TOKEN_INVALID: Kind(
        HTTPStatus.UNAUTHORIZED,
        "Token not valid",
        "This shop did not sign the token, or signed it with a key that was revoked; or, at `/auth`, all"
        " logins of the account have been ended since. Log in again.",
    ),
    Code.TOKEN_EXPIRED: Kind(
        HTTPStatus.UNAUTHORIZED,
        "Token expired",
        "Exchange the refresh token with `POST /auth/refresh`, and send the request again.",
    ),
    Code.LOGIN_FAILED: Kind(
        HTTPStatus.UNAUTHORIZED,
        "Login failed",
        "The e-mail address or the password is wrong. The answer does not say which.",
    ),
    Code.TOTP_REQUIRED: Kind(
        HTTPStatus.UNAUTHORIZED,
        "Second factor required",
        "The password is right, but the account has a second factor. Ask the user for a code of the"
        " authenticator app, and send the request again with that `code`.",
    ),
    Code.TOTP_REFUSED: Kind(
        HTTPStatus.UNAUTHORIZED,
        "Second factor refused",
        "The code is wrong, or was used before: each code works once. Wait for the app's next one.",
    ),
    Code.REFRESH_TOKEN_REFUSED: Kind(
        HTTPStatus.UNAUTHORIZED,
        "Refresh token refused",
        "The token is unknown or expired, or it was used before, which ends its login. Log in again.",
    ),
    Code.ACCOUNT_GONE: Kind(
        HTTPStatus.UNAUTHORIZED, "Account gone", "The account of this token does not exist any more."
    ),
    Code.FORBIDDEN: Kind(
        HTTPStatus.FORBIDDEN, "Forbidden", "The caller is known, but may not do this: `detail` says who may."
    ),
    Code.ORIGIN_REFUSED: Kind(
        HTTPStatus.FORBIDDEN,
        "Other origin refused",
        "A browser asked whether a web page of another origin may send this request. It may not: the"
        " gateway's setting `CORS_ORIGINS` names the origins whose pages may.",
    ),
    Code.NOT_FOUND: Kind(
        HTTPStatus.NOT_FOUND,
        "Not found",
        "The resource does not exist, or belongs to another customer. Both get the same answer.",
    ),
    Code.NO_SUCH_PATH: Kind(
        HTTPStatus.NOT_FOUND, "No such path", "Nothing is served at this path. `/docs` lists the paths."
    ),
    Code.METHOD_NOT_ALLOWED: Kind(
        HTTPStatus.METHOD_NOT_ALLOWED,
        "Method not allowed",
        "The path exists, but does not support this method. `Allow` lists the methods that it supports.",
    ),
    Code.REQUEST_TOO_SLOW: Kind(
        HTTPStatus.REQUEST_TIMEOUT,
        "Request too slow",
        "The request did not arrive completely in time. Nothing was done. Send it again, on a new"
        " connection.",
    ),
    Code.STATE_FORBIDS: Kind(
        HTTPStatus.CONFLICT,
        "The state forbids it",
        "The request is not possible in the current state: a paid order can be refunded, but not cancelled."
        " `detail` says what is possible instead. Read the order again before you try something else.",
    ),
    Code.EMAIL_TAKEN: Kind(
        HTTPStatus.CONFLICT,
        "E-mail address taken",
        "An account with this address exists. Log in, or use another address.",
    ),
    Code.PRECONDITION_FAILED: Kind(
        HTTPStatus.PRECONDITION_FAILED,
        "Precondition failed",
        "The resource has changed since you read it. Nothing was done. `revision` is its current revision:"
        " read it again, decide again, and send its `ETag` as `If-Match`.",
    ),
    Code.BODY_TOO_LARGE: Kind(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "Body too large", "A body may have at most 65536 bytes."
    ),
    Code.UNSUPPORTED_MEDIA_TYPE: Kind(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        "Unsupported media type",
        "Send JSON, with `Content-Type: application/json` and without `Content-Encoding`.",
    ),
    Code.INVALID: Kind(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "Invalid request",
        "Fields, parameters or headers are missing, unknown or invalid. `errors` has one entry for each,"
        " which says what is allowed.",
    ),
    Code.MAIL_TOKEN_REFUSED: Kind(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "Token of a letter refused",
        "The token is unknown, has expired, or was used before: each works once. Request another letter.",
    ),
    Code.UNKNOWN_PRODUCT: Kind(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "Unknown product",
        "Some products of the order do not exist, or were deleted. `errors` points at each; `unknown` lists"
        " their ids.",
    ),
    Code.MIXED_CURRENCIES: Kind(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "Mixed currencies",
        "An order has one currency. Place a separate order for each currency.",
    ),
    Code.TOTAL_TOO_LARGE: Kind(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "Total too large",
        "The order's total is larger than the largest amount that can be charged. Place several orders.",
    ),
    Code.IDEMPOTENCY_KEY_REUSED: Kind(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "Idempotency-Key used before",
        "The key was used with another request within the last day. Use a new key for each new request.",
    ),
    Code.PRECONDITION_REQUIRED: Kind(
        HTTPStatus.PRECONDITION_REQUIRED,
        "Precondition required",
        "The request must say which state it is based on. Send the `ETag` that you read as `If-Match`, so"
        " that you do not overwrite changes that you have not seen.",
    ),
    Code.RATE_LIMITED: Kind(
        HTTPStatus.TOO_MANY_REQUESTS,
        "Too many requests",
        "Wait for the seconds in `Retry-After`. Logins and registrations have a separate limit.",
    ),
    Code.TOO_MANY_STREAMS: Kind(
        HTTPStatus.TOO_MANY_REQUESTS,
        "Too many streams",
        "The caller has as many open streams as one caller may have. Close one, or wait for the seconds in"
        " `Retry-After`. The state of an order can also be read without a stream.",
    ),
    Code.HEADERS_TOO_LARGE: Kind(
        HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
        "Headers too large",
        "The request line and all headers together may have at most 32768 bytes. Ask for fewer ids at a"
        " time, or send fewer cookies.",
    ),
    Code.INTERNAL_ERROR: Kind(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "Internal error",
        "This is a fault of the shop, and it is logged. The request may have been carried out: check before"
        " you repeat it.",
    ),
    Code.SERVICE_BROKE_OFF: Kind(
        HTTPStatus.BAD_GATEWAY,
        "Service broke off",
        f"The connection to a service broke. The request may have been carried out. {_AGAIN}",
    ),
    Code.UNAVAILABLE: Kind(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "Unavailable",
        "A service or server that the request needs does not answer at the moment. Nothing was done, unless"
        f" the problem has `outcome` with the value `unknown`. {_AGAIN}",
    ),
    Code.OVERLOADED: Kind(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "Overloaded",
        f"There are more requests than can be served in time. Nothing was done. {_AGAIN}",
    ),
    Code.SERVICE_TOO_SLOW: Kind(
        HTTPStatus.GATEWAY_TIMEOUT,
        "Service too slow",
        f"The request may have been carried out, or may still be. {_AGAIN}",
    ),
}


def type_of(code: Code) -> str:
    """The problem's `type`: its entry in the page, to be resolved against the URL of the request."""
    return f"{PAGE}#{code}"


_PAGE: Final = """\
<!-- Written by `make docs` from services/shared/http/kinds.py. -->
# Errors

Every error is a problem document ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)), as
`application/problem+json`:

```json
{
  "type": "/errors#invalid",
  "title": "Invalid request",
  "status": 422,
  "code": "invalid",
  "detail": "quantities.0: give a whole number from 1 to 100000",
  "errors": [
    {
      "in": "body",
      "field": "quantities.0",
      "pointer": "#/quantities/0",
      "message": "give a whole number from 1 to 100000"
    }
  ]
}
```

- `code` is stable: compare it, not the sentences. `type` links to the entry of the code on this page, which
  the gateway serves.
- `detail` says what to do about this request.
- `errors` has an entry for each field, parameter or header: where it is (`in`), its name (`field`), what is
  allowed, and for a body a JSON pointer.
- `outcome: unknown` marks a 503 after which the request may have been carried out. After any other 503,
  nothing was done.

| status | code | title |
|---|---|---|
{rows}

{entries}
"""


def page() -> str:
    """docs/errors.md."""
    rows = [f"| {kind.status} | [`{code}`](#{code}) | {kind.title} |" for code, kind in KINDS.items()]
    entries = [f"## {code}\n\n{kind.status} {kind.title}. {kind.meaning}" for code, kind in KINDS.items()]
    return _PAGE.replace("{rows}", "\n".join(rows)).replace("{entries}", "\n\n".join(entries))


def main(arguments: Sequence[str]) -> None:
    """Prints the page, or writes it into the FILE of `--write FILE`."""
    match arguments:
        case ["--write", file]:
            Path(file).write_text(page())
        case _:
            sys.stdout.write(page())


if __name__ == "__main__":
    main(sys.argv[1:])
