"""The auth service's own key, for tokens that it could have given out."""

import json
from collections.abc import Mapping
from typing import Any

from joserfc.jwk import RSAKey

from services.shared.sealing import Seals


def opened(document: Mapping[str, Any], secrets_key: str) -> RSAKey:
    """The whole key of a document of `signingKeys`."""
    private = Seals.parse(secrets_key).open(document["sealed"], f"signingKeys/{document['_id']}")
    return RSAKey.import_key(json.loads(private))
