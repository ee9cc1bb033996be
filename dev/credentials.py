"""The stack's passwords: made once for a stack directory, kept there for its owner's eyes only."""

import base64
import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from dev.files import write_private
from sagactl.provision.accounts import DATABASE_USERS

USERS = (*DATABASE_USERS, "gateway")


def _password() -> str:
    return secrets.token_hex(16)  # hexadecimal needs no escaping in a URL


def _random(count: int) -> str:
    """So many random bytes in Base64."""
    return base64.b64encode(secrets.token_bytes(count)).decode()


@dataclass(frozen=True)
class Credentials:
    root: str = field(default_factory=_password)
    admin_email: str = "admin@sagashop.example"
    admin_password: str = field(default_factory=_password)
    customer_email: str = "customer@sagashop.example"
    customer_password: str = field(default_factory=_password)
    mongodb_key: str = field(default_factory=lambda: _random(96))
    # What auth seals secrets in its database with.
    secrets_key: str = field(default_factory=lambda: _random(32))
    # What notification seals the secrets of endpoints with.
    webhooks_key: str = field(default_factory=lambda: _random(32))
    users: Mapping[str, str] = field(default_factory=lambda: {name: _password() for name in USERS})

    @classmethod
    def kept_in(cls, directory: Path) -> "Credentials":
        file = directory / "credentials.json"
        kept = json.loads(file.read_text()) if file.exists() else {}
        users = {**{name: _password() for name in USERS}, **kept.get("users", {})}
        made = cls(**{**kept, "users": users})
        if asdict(made) != kept:  # new, or of a version that knew fewer
            write_private(file, json.dumps(asdict(made), indent=1))
        return made

    def of(self, names: tuple[str, ...]) -> Mapping[str, str]:
        return {name: self.users[name] for name in names}
