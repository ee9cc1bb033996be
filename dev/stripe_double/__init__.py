"""A local server that speaks the part of Stripe's API that we use, with a ledger of its own.

It is not Stripe: it does what Stripe's documents say of PaymentIntents, refunds, idempotency keys and signed
events, and no more. A test against it shows that we hold to them, and nothing about Stripe itself.
"""
