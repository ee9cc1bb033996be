"""What a reader of the API's description is told first."""

from typing import Final

INTRODUCTION: Final = """\
Orders of an e-commerce shop: each ends paid with its stock sold, or cancelled with stock and money back.

**Begin** with `POST /auth/register`, then `POST /auth/login`. Send its `accessToken` with every request as
`Authorization: Bearer <accessToken>` (here: the button *Authorize*). It lasts for 15 minutes; the next one is
given by `POST /auth/refresh`. Administrators create products and restock them.

**Place an order** with `POST /api/orders`. It is `PENDING` at first, `CONFIRMED` when its stock is reserved,
then `PAID` or `CANCELLED`; ask for it again until it is `settled`, or follow it live at
`/api/orders/{orderId}/events`. Its timeline tells every step.

**Test cards**, as `paymentToken`, force how the payment goes, where the shop takes them; without one it
usually succeeds.

| token | outcome |
|---|---|
| `tok_success` | the order is `PAID` |
| `tok_declined` | the order is `CANCELLED`, and its stock given back |
| `tok_slow` | the payment takes some seconds |
| `tok_pending` | the payment is decided on after 20 seconds: until then the order has `reservedUntil` |
| `tok_action` | the order has a `nextAction` for some seconds, then it is `PAID` |
| `tok_error` | the payment's gateway fails twice, then succeeds: `PAID` after some ten seconds |

**Repeat safely**: send `Idempotency-Key`, a new value for each new request, with whatever changes orders,
products or stock. The same key again, within a day, does nothing more, and is answered with
`Idempotency-Replayed: true`; with another request it is refused.

**Errors** are problem documents (RFC 9457). Compare `code`, not sentences; [/errors](/errors) explains each.

**Amounts** are decimal strings in the currency's major unit: `"299.99"`. Lists come in pages: pass
`nextCursor` of one as `cursor` for the next. A parameter or a field that is not known is refused.
"""
TAGS: Final = {
    "auth": "Accounts and tokens.",
    "by mail": "What a letter to the address of an account proves: that it is theirs, a new password.",
    "second factor": "A code of an authenticator app (TOTP), which a login of the account needs then.",
    "accounts": "For administrators: roles, accounts that are disabled, the end of logins.",
    "keys": "For administrators: the keys that access tokens are signed with.",
    "orders": "Place orders, follow them, cancel them while they are not paid, refund them once they are.",
    "products": "The catalogue. Everybody reads it, administrators change it.",
    "inventory": "How many pieces there are. Administrators count and restock, and see what is sold.",
    "payments": "What became of an order's payment.",
    "fulfilments": "For administrators: an order's goods are sent, and arrive. Only where the shop has it.",
    "notifications": "For the shop's staff: a mail that did not arrive is sent once more.",
    "webhooks": "For administrators: endpoints of others that are told what happens to orders.",
}
