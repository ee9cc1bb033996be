"""A whole shop in one event loop of virtual time: engine and rules as they are, servers in memory.

`clock` runs it, `dice` decides what goes wrong, `database`, `broker`, `redis_hints` and `gateway` are the
servers, `replica` and `shop` put the services on them, `judge` says what must hold, `shrink` finds the
shortest history that breaks it.
"""
