"""Mail to customers, whichever service writes: how it looks, and how it gets to the mail server."""
