"""The diagram of reserved lines: `python -m services.inventory.diagram [--write docs/tables.md]`."""

import sys
from typing import Final

from services.inventory.reservation import ENDS
from services.inventory.table import LINES
from services.shared.contract.diagram import Drawing

DRAWING: Final = Drawing("line", LINES.cells, ENDS)

if __name__ == "__main__":
    DRAWING.main(sys.argv[1:])
