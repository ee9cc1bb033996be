"""`python -m dev.description`: writes the public API's description to docs/openapi.json.

It is what the gateway of a shop with default settings serves, of all services together. What clients are
generated from is thereby the same for everybody, and each change of the API shows in its diff.
"""

import json
from pathlib import Path
from typing import Any, Final

from pydantic import SecretStr

from dev.helm import ROOT
from dev.release import current
from services.auth.main import make_app as make_auth
from services.auth.settings import AuthSettings
from services.fulfilment.main import make_app as make_fulfilment
from services.fulfilment.settings import FulfilmentSettings
from services.gateway.openapi import merge
from services.inventory.main import make_app as make_inventory
from services.inventory.settings import InventorySettings
from services.notification.main import make_app as make_notification
from services.notification.settings import NotificationSettings
from services.order.main import make_app as make_order
from services.order.settings import OrderSettings
from services.payment.main import make_app as make_payment
from services.payment.settings import PaymentSettings
from services.product.main import make_app as make_product
from services.product.settings import ProductSettings

FILE: Final = Path("docs", "openapi.json")
# Auth does not start without one.
_A_KEY: Final = SecretStr("A" * 43 + "=")


def description(version: str) -> dict[str, Any]:
    """`version` is the project's."""
    return merge(
        {
            "auth": make_auth(AuthSettings(secrets_key=_A_KEY)).openapi(),
            "order": make_order(OrderSettings()).openapi(),
            "product": make_product(ProductSettings()).openapi(),
            "inventory": make_inventory(InventorySettings()).openapi(),
            "payment": make_payment(PaymentSettings(payment_gateway="mock")).openapi(),
            "notification": make_notification(NotificationSettings()).openapi(),
            "fulfilment": make_fulfilment(FulfilmentSettings()).openapi(),
        },
        version,
    )


def text(version: str) -> str:
    return json.dumps(description(version), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    (ROOT / FILE).write_text(text(current()))
