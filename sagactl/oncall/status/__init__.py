"""How the shop stands, on one screen: what waits where, since when, and what is wrong."""
