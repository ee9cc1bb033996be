"""TLS: what a server shows to prove who it is, and whom clients believe.

Whom they believe is OpenSSL's own to know, by its variable SSL_CERT_FILE: the clients of HTTP, AMQP, MongoDB
and Redis all ask it, and all of them check that a server has the name by which it was called.
"""

import ssl
from pathlib import Path
from typing import NamedTuple


class Identity(NamedTuple):
    """A certificate with its chain, and its key, as PEM files."""

    certificate: Path
    key: Path

    def context(self) -> ssl.SSLContext:
        """For a server. Raises ValueError, with a sentence, where the files are not what they have to be."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        try:
            # Without a password OpenSSL would ask the terminal for that of an encrypted key.
            context.load_cert_chain(self.certificate, self.key, password="")
        except OSError as error:
            raise ValueError(
                f"{self.certificate} and {self.key} are no certificate and its key: {_reason(error)}"
            ) from error
        return context


def check_authorities(file: Path) -> None:
    """Raises ValueError, with a sentence, where there is no certificate in the file: OpenSSL says nothing."""
    try:
        ssl.create_default_context(cafile=file)
    except OSError as error:
        raise ValueError(f"there are no certificates (PEM) in {file}: {_reason(error)}") from error


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
