"""The operations console: what `sagactl` tells a terminal, as pages for the shop's staff.

It reads the books and the broker itself, and so works while services are down. What changes an order is asked
of the services, with the person's own token: the console may do no more than they may.
"""
