"""What goes in and out, as the API's description shows it."""

from typing import Any, Final

Example = dict[str, Any]
EMAIL: Final = "ada@shop.example"
PASSWORD: Final = "a long enough password"  # noqa: S105  # nobody's
REFRESH: Final = "Zk3x7vVvJmY2o0eQ.0vYkT8m1r5dWl2a9QeXh4uUuPzB7cN6sGfJ3iKoLqR8"
REGISTRATION: Final[Example] = {"email": EMAIL, "password": PASSWORD, "name": "Ada Lovelace"}
CREDENTIALS: Final[Example] = {"email": EMAIL, "password": PASSWORD}
NEW_PASSWORD: Final[Example] = {"currentPassword": PASSWORD, "newPassword": "an even longer password"}
ADDRESS: Final[Example] = {"email": EMAIL}
LETTER: Final = "9b2f6c1e-3f0a-4a55-8f43-6a1d6a2f7c55.pJ3vQ0mY8dWl2a9QeXh4uUuPzB7cN6sGfJ3iKoLqR8s"
MAIL_TOKEN: Final[Example] = {"token": LETTER}
PASSWORD_BY_MAIL: Final[Example] = {"token": LETTER, "newPassword": "an even longer password"}
TOTP: Final = "492039"
PASSWORD_PROOF: Final[Example] = {"currentPassword": PASSWORD}
TOTP_CODE: Final[Example] = {"code": TOTP}
TOTP_PROOF: Final[Example] = {"currentPassword": PASSWORD, "code": TOTP}
TOTP_SECRET: Final[Example] = {
    "otpauthUri": "otpauth://totp/sagashop:ada%40shop.example?secret=JBSWY3DPEHPK3PXP&issuer=sagashop",
    "recoveryCodes": ["5f0c-91aa-07d2-e4b8-06d1-7be3-a95c", "1c3e-77f0-b29d-a846-d20b-91f4-3e78"],
}
REFRESH_TOKEN: Final[Example] = {"refreshToken": REFRESH}
ACCOUNT: Final[Example] = {
    "userId": "7c1e2b5e-54c6-4a53-9d0f-1f6f0f6b7a10",
    "email": EMAIL,
    "name": "Ada Lovelace",
    "roles": [],
    "verified": True,
    "totp": False,
}
ACCOUNT_STATE: Final[Example] = ACCOUNT | {
    "roles": ["support"],
    "disabled": False,
    "createdAt": "2026-11-26T09:00:00Z",
}
ACCOUNT_DATA: Final[Example] = ACCOUNT_STATE | {
    "tokensUntil": "2026-11-26T09:15:30Z",
    "recoveryCodesLeft": 0,
    "logins": [{"createdAt": "2026-11-26T09:00:00Z", "expiresAt": "2026-12-10T09:00:00Z", "revoked": False}],
    "letters": [
        {
            "kind": "verify",
            "state": "SENT",
            "locale": "de-AT",
            "createdAt": "2026-11-26T09:00:00Z",
            "expiresAt": "2026-11-27T09:00:00Z",
        }
    ],
}
ACCOUNT_LIST: Final[Example] = {"items": [ACCOUNT_STATE]}
ACCOUNT_CHANGE: Final[Example] = {"roles": ["support"]}
KEY_STATE: Final[Example] = {
    "keyId": "2",
    "kid": "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs",
    "turn": "signing",
    "createdAt": "2026-11-26T09:00:00Z",
    "revokedAt": None,
}
KEY_LIST: Final[Example] = {"items": [KEY_STATE]}
SESSION: Final[Example] = {
    # pragma: allowlist nextline secret: its signature says "signature"
    "accessToken": "eyJhbGciOiJSUzI1NiIsImtpZCI6IjEifQ.eyJzdWIiOiI3YzFlMmI1ZSJ9.c2lnbmF0dXJl",
    "refreshToken": REFRESH,
    "expiresIn": 900,
    "totpMissing": False,
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
