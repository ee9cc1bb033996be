"""`python -m dev.contract`: writes the contract of events below docs/events.

`python -m dev.contract keep`: keeps it as that of the version that this tree has. `make release` does so for
a new version.
"""

import sys

from dev.contract.files import keep, write
from dev.release import current


def main() -> None:
    match sys.argv[1:]:
        case []:
            write(current())
        case ["keep"]:
            keep(current())
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    main()
