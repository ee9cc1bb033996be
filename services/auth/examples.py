"""What goes in and out, as the API's description shows it."""

from typing import Any, Final

Example = dict[str, Any]
EMAIL: Final = "ada@shop.example"
PASSWORD: Final = "a long enough password"  # noqa: S105  # nobody's
REFRESH: Final = "Zk3x7vVvJmY2o0eQ.0vYkT8m1r5dWl2a9QeXh4uUuPzB7cN6sGfJ3iKoLqR8"
REGISTRATION: Final[Example] = {"email": EMAIL, "password": PASSWORD, "name": "Ada Lovelace"}
CREDENTIALS: Final[Example] = {"email": EMAIL, "password": PASSWORD}
NEW_PASSWORD: Final[Example] = {"currentPassword": PASSWORD, "newPassword": "an even longer password"}
REFRESH_TOKEN: Final[Example] = {"refreshToken": REFRESH}
ACCOUNT: Final[Example] = {
    "userId": "7c1e2b5e-54c6-4a53-9d0f-1f6f0f6b7a10",
    "email": EMAIL,
    "name": "Ada Lovelace",
    "roles": [],
}
ACCOUNT_STATE: Final[Example] = ACCOUNT | {
    "roles": ["support"],
    "disabled": False,
    "createdAt": "2026-11-26T09:00:00Z",
}
ACCOUNT_LIST: Final[Example] = {"items": [ACCOUNT_STATE]}
ACCOUNT_CHANGE: Final[Example] = {"roles": ["support"]}
SESSION: Final[Example] = {
    # pragma: allowlist nextline secret: its signature says "signature"
    "accessToken": "eyJhbGciOiJSUzI1NiIsImtpZCI6IjEifQ.eyJzdWIiOiI3YzFlMmI1ZSJ9.c2lnbmF0dXJl",
    "refreshToken": REFRESH,
    "expiresIn": 900,
    "tokenType": "Bearer",
}
KEYS_ANSWER: Final[Example] = {
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["keys"],
                "properties": {"keys": {"type": "array", "items": {"type": "object"}}},
            },
            "example": {
                "keys": [
                    {
                        "kty": "RSA",
                        "use": "sig",
                        "alg": "RS256",
                        "kid": "1",
                        "n": "0vx7agoeb",
                        "e": "AQAB",
                    }
                ]
            },
        }
    }
}
