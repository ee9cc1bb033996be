"""The diagram of payments: `python -m services.payment.diagram [--write docs/tables.md]`."""

import sys
from typing import Final

from services.payment.payment import ENDS
from services.payment.table import PAYMENTS
from services.shared.contract.diagram import Drawing

DRAWING: Final = Drawing("payment", PAYMENTS.cells, ENDS)

if __name__ == "__main__":
    DRAWING.main(sys.argv[1:])
