"""The diagram of shipments: `python -m services.fulfilment.diagram [--write docs/tables.md]`."""

import sys
from typing import Final

from services.fulfilment.shipment import ENDS
from services.fulfilment.table import SHIPMENTS
from services.shared.contract.diagram import Drawing

DRAWING: Final = Drawing("shipment", SHIPMENTS.cells, ENDS)

if __name__ == "__main__":
    DRAWING.main(sys.argv[1:])
