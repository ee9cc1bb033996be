"""What a service says of certificates that it cannot begin with, and metrics that are told by TLS."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import ClassVar

import pytest

from services.shared.http.app import metrics_apart
from services.shared.settings import Settings
from services.shared.tls import Identity
from tests.authority import Authority

HERE = "127.0.0.1"


class ShopSettings(Settings):
    service: ClassVar[str] = "shop"
    port: int = 1


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.made_in(tmp_path)


def refusal(**given: Path) -> str:
    [sentence] = ShopSettings.wrong_in({name.upper(): str(value) for name, value in given.items()})
    return sentence


def test_a_certificate_and_its_key_are_all_that_it_takes(authority: Authority) -> None:
    certificate, key = authority.identity(HERE)
    assert ShopSettings(tls_cert_file=certificate, tls_key_file=key).identity == Identity(certificate, key)
    assert ShopSettings().identity is None


def test_a_certificate_without_its_key_or_with_anothers_is_refused(authority: Authority) -> None:
    one, other = authority.identity("one"), authority.identity("other")
    assert "TLS_CERT_FILE and TLS_KEY_FILE are given together" in refusal(tls_cert_file=one.certificate)
    wrong = refusal(tls_cert_file=one.certificate, tls_key_file=other.key)
    assert "no certificate and its key" in wrong
    assert "KEY_VALUES_MISMATCH" in wrong
    away = refusal(tls_cert_file=one.certificate.with_name("none"), tls_key_file=one.key)
    assert away.endswith("No such file or directory")


def test_authorities_that_are_none_are_refused_where_openssl_would_say_nothing(
    authority: Authority, tmp_path: Path
) -> None:
    assert not ShopSettings.wrong_in({"SSL_CERT_FILE": str(authority.file)})
    assert refusal(ssl_cert_file=tmp_path / "none").startswith("SSL_CERT_FILE: there are no certificates")
    (tmp_path / "rubbish").write_text("rubbish")
    assert refusal(ssl_cert_file=tmp_path / "rubbish").startswith("SSL_CERT_FILE: there are no certificates")


@pytest.fixture
def metrics_port(authority: Authority) -> Iterator[int]:
    """Where the metrics of a service with a certificate are."""
    with closing(socket.create_server((HERE, 0))) as free:
        port: int = free.getsockname()[1]
    certificate, key = authority.identity(HERE)
    settings = ShopSettings(metrics_port=port, tls_cert_file=certificate, tls_key_file=key, host=HERE)
    with metrics_apart(settings):
        yield port


def test_metrics_are_told_by_tls_while_somebody_else_stalls(authority: Authority, metrics_port: int) -> None:
    believing = ssl.create_default_context(cafile=authority.file)
    with (
        socket.create_connection((HERE, metrics_port)),
        socket.create_connection((HERE, metrics_port), timeout=10) as plain,
        believing.wrap_socket(plain, server_hostname=HERE) as client,
    ):
        client.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        assert client.recv(15) == b"HTTP/1.0 200 OK"
