"""`helm test`: one purchase, through the front door."""
