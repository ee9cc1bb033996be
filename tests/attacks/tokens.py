"""Access tokens as attackers make them. Each is to be refused by every verifier (RFC 8725, RFC 9068)."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from joserfc.jwk import RSAKey

Json = dict[str, Any]
# Tokens are made when tests are collected, and used when it is their turn.
A_DAY: Final = 86_400
# Nobody is asked there: a verifier that follows a header's link would wait for it.
ELSEWHERE: Final = "http://192.0.2.1/keys.json"
HOW: Final[Mapping[str, tuple[padding.AsymmetricPadding, hashes.HashAlgorithm]]] = {
    "RS256": (padding.PKCS1v15(), hashes.SHA256()),
    "RS384": (padding.PKCS1v15(), hashes.SHA384()),
    "RS512": (padding.PKCS1v15(), hashes.SHA512()),
    "PS256": (padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256()),
}


def b64(data: bytes | str | Json | list[Any]) -> str:
    raw = data if isinstance(data, bytes) else (data if isinstance(data, str) else json.dumps(data)).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


class Forger:
    """Knows the public key and a good token of a customer; and signs with the private key what only an issuer
    gone astray, or one for another purpose, would have signed.
    """

    def __init__(self, key: RSAKey, kid: str, claims: Mapping[str, Any]) -> None:
        self._key, self._claims = key, dict(claims)
        self._own = RSAKey.generate_key(2048)
        self._header: Json = {"alg": "RS256", "kid": kid, "typ": "at+jwt"}
        self.good = self.signed()

    def signed(
        self, header: Mapping[str, Any] | None = None, key: RSAKey | None = None, **claims: Any
    ) -> str:
        """Of None a claim or header is left out. Signed by hand: the library would refuse to."""
        said = {n: v for n, v in (self._header | dict(header or {})).items() if v is not None}
        claimed = {n: v for n, v in (self._claims | claims).items() if v is not None}
        text = f"{b64(said)}.{b64(claimed)}"
        private = (key or self._key).private_key
        assert isinstance(private, rsa.RSAPrivateKey)
        how, digest = HOW.get(str(said.get("alg")), HOW["RS256"])
        return f"{text}.{b64(private.sign(text.encode(), how, digest))}"

    def _raw(self, header: Json | str, payload: Json | str, signature: bytes = b"") -> str:
        return f"{b64(header)}.{b64(payload)}.{b64(signature)}"

    def _admin(self) -> Json:
        return self._claims | {"roles": ["admin"]}

    def _hmac(self, secret: bytes, **header: Any) -> str:
        """The public key taken for a shared secret."""
        text = f"{b64(self._header | {'alg': 'HS256'} | header)}.{b64(self._admin())}"
        return f"{text}.{b64(hmac.digest(secret, text.encode(), hashlib.sha256))}"

    def attacks(self) -> Iterator[tuple[str, str]]:
        """Each with its name."""
        for part in (
            self._algorithms,
            self._key_ids,
            self._brought_keys,
            self._kinds,
            self._claimed,
            self._pieces,
            self._shapes,
        ):
            yield from part()

    def _algorithms(self) -> Iterator[tuple[str, str]]:
        for alg in ("none", "None", "NONE", "nOnE", ""):
            yield f"alg {alg!r} unsigned", self._raw(self._header | {"alg": alg}, self._admin())
            yield (
                f"alg {alg!r} with the good signature",
                f"{b64(self._header | {'alg': alg})}.{self.good.split('.', 1)[1]}",
            )
        yield "no alg", self._raw({"kid": self._header["kid"], "typ": "at+jwt"}, self._admin())
        yield "alg a list", self._raw(self._header | {"alg": ["RS256"]}, self._admin())
        public = self._key.as_dict(private=False)
        yield "HS256 by the PEM", self._hmac(self._key.as_pem(private=False))
        yield "HS256 by the PEM, stripped", self._hmac(self._key.as_pem(private=False).strip())
        yield "HS256 by the DER", self._hmac(self._key.as_der(private=False))
        yield "HS256 by the JWK", self._hmac(json.dumps(public, separators=(",", ":")).encode())
        yield "HS256 by the modulus", self._hmac(str(public["n"]).encode())
        yield "HS256 by nothing", self._hmac(b"")
        for alg in ("RS384", "RS512", "PS256"):
            yield f"{alg} by the right key", self.signed({"alg": alg})

    def _key_ids(self) -> Iterator[tuple[str, str]]:
        yield "the attacker's key under the right kid", self.signed(key=self._own, roles=["admin"])
        yield "the attacker's key under its own kid", self.signed({"kid": "mine"}, self._own)
        for kid in (
            *("../../../../dev/null", "/dev/null", "file:///dev/null", ELSEWHERE, "' OR '1'='1", "$ne"),
            *("0", "-1", "*", "", "test\x00", "x" * 5000, "\u202e"),
        ):
            yield f"kid {kid[:20]!r}", self.signed({"kid": kid}, self._own)
            yield f"kid {kid[:20]!r}, HS256 by nothing", self._hmac(b"", kid=kid)
        for odd in (0, True, [self._header["kid"]], {"$ne": ""}, 1.5):
            raw = self._raw(self._header | {"kid": odd}, self._admin(), b"x" * 256)
            yield f"kid {odd!r}", raw
        yield "no kid", self.signed({"kid": None})
        twice = json.dumps(self._header)[:-1] + f', "kid": "mine", "kid": {json.dumps(self._header["kid"])}}}'
        yield "kid twice", self._raw(twice, self._admin(), b"x" * 256)

    def _brought_keys(self) -> Iterator[tuple[str, str]]:
        own = self._own.as_dict(private=False)
        for kid in (self._header["kid"], "mine", None):
            for name, value in (
                ("jwk", own),
                ("jku", ELSEWHERE),
                ("x5u", ELSEWHERE),
                ("x5c", [base64.b64encode(self._own.as_der(private=False)).decode()]),
            ):
                yield f"{name} under kid {kid!r}", self.signed({name: value, "kid": kid}, self._own)

    def _kinds(self) -> Iterator[tuple[str, str]]:
        for typ in (None, "JWT", "jwt", "rt+jwt", "logout+jwt", "at+jwt ", "at+jwt;x", "application/jwt", ""):
            yield f"typ {typ!r}", self.signed({"typ": typ})
        yield "typ a list", self._raw(self._header | {"typ": ["at+jwt"]}, self._admin(), b"x" * 256)
        yield "crit", self.signed({"crit": ["exp"], "exp": 1})
        yield "crit of what nobody knows", self.signed({"crit": ["shop"], "shop": 1})
        yield "b64", self._raw(self._header | {"b64": False, "crit": ["b64"]}, self._admin(), b"x" * 256)
        yield "zip", self._raw(self._header | {"zip": "DEF"}, self._admin(), b"x" * 256)

    def _claimed(self) -> Iterator[tuple[str, str]]:
        now = int(time.time())
        issuers: list[Any] = [None, "", "another", "sagashop2", "SAGASHOP", "sagashop ", ["sagashop"], 5, {}]
        for issuer in issuers:
            yield f"iss {issuer!r}", self.signed(iss=issuer)
        audiences: list[Any] = [None, "", "another", "SAGASHOP", ["another"], [], {}, 5]
        for audience in audiences:
            yield f"aud {audience!r}", self.signed(aud=audience)
        for subject in (None, ""):
            yield f"sub {subject!r}", self.signed(sub=subject)
        expiries: list[Any] = [None, now - 60, 0, -1, "tomorrow", str(now + A_DAY), [now + A_DAY], {}, True]
        for expiry in expiries:
            yield (
                f"exp {expiry if expiry is None else type(expiry).__name__} {expiry}",
                self.signed(exp=expiry),
            )
        moments: list[Any] = [now + A_DAY, "tomorrow", []]
        for moment in moments:
            yield f"nbf {moment}", self.signed(nbf=moment)
            yield f"iat {moment}", self.signed(iat=moment)

    def _pieces(self) -> Iterator[tuple[str, str]]:
        header, payload, signature = self.good.split(".")
        _, _, foreign = self.signed(sub="another").split(".")
        yield "the payload of an administrator", f"{header}.{b64(self._admin())}.{signature}"
        twice = json.dumps(self._claims)[:-1] + ', "roles": ["admin"]}'
        yield "roles twice", f"{header}.{b64(twice)}.{signature}"
        yield "another token's signature", f"{header}.{payload}.{foreign}"
        yield "no signature", f"{header}.{payload}."
        yield "no signature, no dot", f"{header}.{payload}"
        yield "half a signature", f"{header}.{payload}.{signature[: len(signature) // 2]}"
        yield "a signature of zeros", f"{header}.{payload}.{b64(bytes(256))}"
        yield "a signature of one", f"{header}.{payload}.{b64(bytes(255) + bytes([1]))}"
        yield "a signature too long", f"{header}.{payload}.{signature}AAAA"
        yield "a space inside", f"{header} .{payload}.{signature}"
        yield "two tokens", f"{self.good} {self.good}"
        yield "two tokens, joined", f"{self.good},{self.good}"

    def _shapes(self) -> Iterator[tuple[str, str]]:
        deep = "[" * 3000 + "]" * 3000
        yield "a refresh token", f"{b64(b'f' * 16)}.{b64(b's' * 32)}"
        yield (
            "an encrypted token",
            f"{b64({'alg': 'dir', 'enc': 'A128GCM'})}..{b64(b'i' * 12)}.{b64(b'c')}.{b64(b't' * 16)}",
        )
        yield "no token", "x"
        yield "dots", ".."
        yield "more dots", "....."
        yield "no base64", "%%%.%%%.%%%"
        yield "no JSON", f"{b64('x')}.{b64('x')}.{b64('x')}"
        yield "a header that is a list", self._raw("[]", self._admin())
        yield "a header that is null", self._raw("null", self._admin())
        yield "a header nested deeply", self._raw(f'{{"alg":"RS256","kid":{deep}}}', self._admin())
        yield "a payload nested deeply", self._raw(self._header, f'{{"roles":{deep}}}', b"x" * 256)
        yield "a payload that is a list", self._raw(self._header, "[]", b"x" * 256)
        yield "bytes that are no text", f"{b64(b'{' + bytes([255]))}.{b64(bytes([255]))}.{b64(b'x')}"
        yield "a token of 20 KB", self._raw(self._header, self._admin() | {"x": "x" * 15_000}, b"x" * 256)
        signed = self.signed()
        yield "JSON instead of dots", json.dumps({"payload": signed.split(".")[1], "signatures": []})


def good_claims(subject: str, issuer: str = "sagashop", audience: str = "sagashop") -> Json:
    now = int(time.time())
    return {
        "iss": issuer,
        "aud": audience,
        "sub": subject,
        "email": f"{subject}@shop.example",
        "roles": [],
        "iat": now,
        "exp": now + A_DAY,
    }


# Of headers that hold a good token: what else is wrong with them.
SCHEMES: Final[Mapping[str, Callable[[str], str]]] = {
    "no scheme": lambda token: token,
    "another scheme": lambda token: f"Basic {token}",
    "the scheme twice": lambda token: f"Bearer Bearer {token}",
    "no space": lambda token: f"Bearer{token}",
    "nothing behind it": lambda _: "Bearer ",
    "a colon": lambda token: f"Bearer: {token}",
}
