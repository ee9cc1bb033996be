"""Whether what is given to the stack can be: said before anything is started with it, or kept."""

import importlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from dev.errors import StackError
from dev.ports import DEFAULTS, LARGEST, OPTIONAL, variable
from dev.services import KNOWN, NO, YES, package_of
from services.shared.tls import Identity

if TYPE_CHECKING:
    from services.shared.settings import Settings

# By which the whole stack is reached by TLS, or no part of it.
IDENTITY = ("TLS_CERT_FILE", "TLS_KEY_FILE")


class SettingError(StackError):
    """Settings have values that they cannot have: a sentence for each, with what is allowed."""


def settings_of(service: str) -> "type[Settings]":
    """Loaded when it is asked for: `make up` of what is up does not ask."""
    module = importlib.import_module(f"{package_of(service)}.settings")
    found: type[Settings] = getattr(module, f"{service.capitalize()}Settings")
    return found


def check_own(environment: Mapping[str, str]) -> None:
    """Of what the stack itself reads. Raises SettingError."""
    refuse(_wrong(environment))


def refuse(sentences: Iterable[str]) -> None:
    """Raises SettingError if there are any; what several services say of one setting is said once."""
    if said := [*dict.fromkeys(sentences)]:
        raise SettingError("\n".join([*said, "nothing was changed"]))


def wants_goods(environment: Mapping[str, str]) -> bool:
    """Whether the shop is to be filled: SEED=false leaves it empty."""
    return environment.get("SEED", "true").lower() not in NO


def replicas_of(service: str) -> str:
    return f"REPLICAS_{service.upper()}"


def _wrong(environment: Mapping[str, str]) -> Iterator[str]:
    for name in ("SEED", *(name.upper() for name in OPTIONAL)):
        if environment.get(name, "true").lower() not in YES | NO:
            yield f"{name}: give true or false"
    if environment.get("PORTS", "random") != "random":
        yield "PORTS: give random, or leave it out"
    yield from _wrong_identity(*map(environment.get, (*IDENTITY, "SSL_CERT_FILE")))
    for name in map(replicas_of, (*KNOWN, "mongodb")):
        if name in environment and not _is_count(environment[name]):
            yield f"{name}: give a whole number of 1 or more"
    for name in map(variable, DEFAULTS):
        if environment.get(name) and not (_is_count(environment[name]) and int(environment[name]) <= LARGEST):
            yield f"{name}: give a whole number from 1 to {LARGEST}"


def _wrong_identity(certificate: str | None, key: str | None, authorities: str | None) -> Iterator[str]:
    if not (certificate and key):
        return
    try:
        Identity(Path(certificate), Path(key)).context()
    except ValueError as error:
        yield f"TLS_CERT_FILE: {error}"
    if not authorities:
        yield "SSL_CERT_FILE: give the authorities by whom TLS_CERT_FILE is believed, as a PEM file"


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdecimal() and int(text) > 0
