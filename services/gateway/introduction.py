"""What a reader of the API's description is told first."""

from typing import Final

INTRODUCTION: Final = """\
Orders of an e-commerce shop. Each ends paid with its stock sold, or cancelled with its stock and the money
returned.

**Begin** with `POST /auth/register`, then `POST /auth/login`. Send the `accessToken` with every request as
`Authorization: Bearer <accessToken>` (here: the button *Authorize*). It is valid for 15 minutes; `POST
/auth/refresh` returns the next one. Administrators create products and restock them.

**Place an order** with `POST /api/orders`. It is `PENDING` at first, `CONFIRMED` once its stock is reserved,
then `PAID` or `CANCELLED`. Poll it until it is `settled`, or follow it live at
`/api/orders/{orderId}/events`. Its timeline lists every step.

**Test cards**, as `paymentToken`, decide the outcome of the payment, if the shop accepts them. Without one, a
payment usually succeeds.

| token | outcome |
|---|---|
| `tok_success` | the order is `PAID` |
| `tok_declined` | the order is `CANCELLED`, and its stock is returned |
| `tok_slow` | the payment takes some seconds |
| `tok_pending` | the payment is decided after 20 seconds: until then the order has `reservedUntil` |
| `tok_action` | the order has a `nextAction` for some seconds, then it is `PAID` |
| `tok_error` | the payment gateway fails twice, then succeeds: `PAID` after about ten seconds |

**Retry safely**: send an `Idempotency-Key`, a new value for each new request, with every request that changes
orders, products or stock. A request with the same key within a day changes nothing more, and its answer has
`Idempotency-Replayed: true`. The same key with a different request is refused.

**Errors** are problem documents (RFC 9457). Compare `code`, not sentences; [/errors](/errors) explains each.

**Amounts** are decimal strings in the currency's major unit: `"299.99"`. Lists have pages: pass
`nextCursor` of one page as `cursor` to get the next. Unknown parameters and fields are refused.
"""
TAGS: Final = {
    "auth": "Accounts and tokens.",
    "by mail": "Verify an address and reset a password, by a letter to the address of the account.",
    "second factor": "Codes of an authenticator app (TOTP) that logins require in addition to the password.",
    "accounts": "For administrators: set roles, disable accounts, end logins.",
    "keys": "For administrators: the keys that sign access tokens.",
    "orders": "Place orders, follow them, cancel them before they are paid, refund them afterwards.",
    "products": "The catalogue. Everybody may read it, administrators may change it.",
    "inventory": "Stock of products. Administrators count and restock it, and see what is sold.",
    "payments": "The state of an order's payment.",
    "fulfilments": "For administrators: send goods and record their arrival, if fulfilment is enabled.",
    "notifications": "For the shop's staff: send a mail again that did not arrive.",
    "webhooks": "For administrators: endpoints of other systems that are notified about orders.",
}
