"""The saga's diagram: `python -m services.order.diagram [--write README.md docs/tables.md]`."""

import sys
from typing import Final

from services.order.model import ENDS
from services.order.saga import SAGA
from services.shared.contract.diagram import Drawing

DRAWING: Final = Drawing("saga", SAGA.cells, ENDS)

if __name__ == "__main__":
    DRAWING.main(sys.argv[1:])
