"""Ways to the members of a replica set that lead through proxies, for single processes.

A driver goes where the members say that they are, whatever its URL names. So a proxy cannot stand in a URL's
place, and if the members were told of it, they would reach each other by it, too. A process that was told of
a detour (`preload/sitecustomize.py`) takes it wherever its driver connects; all others go straight.
"""

import json
from collections.abc import Mapping
from typing import Final

# Name of an environment variable.
DETOURS: Final = "MONGODB_DETOURS"


def environment(detours: Mapping[int, int]) -> Mapping[str, str]:
    """For a process: which port it takes in place of which."""
    return {DETOURS: json.dumps(detours)}


def told(environment: Mapping[str, str]) -> Mapping[int, int]:
    """What `environment` said; empty where nothing was."""
    return {int(port): by for port, by in json.loads(environment.get(DETOURS, "{}")).items()}
