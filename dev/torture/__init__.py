"""`make torture-payments`: thousands of orders whose payments are decided on later, by a double of Stripe."""
