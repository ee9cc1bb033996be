"""What of Kubernetes answers `kubectl`: etcd and an API server, as processes of this machine."""

import json
import os
import secrets
import subprocess
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import trustme

from dev.files import write_private
from dev.ports import Ports
from dev.processes import Program
from dev.services import REPOSITORY

LOOPBACK: Final = "127.0.0.1"
BUILDING: Final = REPOSITORY / "dev" / "cluster"


class Programs(NamedTuple):
    """The folders that they are in: those of Kubernetes, and kubectl."""

    kubernetes: Path
    tools: Path


def built() -> Programs:
    """The local cluster's, built where the cache lacks them, which takes minutes.

    Raises CalledProcessError.
    """
    subprocess.run([BUILDING / "build.sh", "tools", "kubernetes"], check=True)  # noqa: S603  # our own script
    script = '. "$0" && printf "%s\\n" "$kubernetes_bin" "$tools"'
    command = ["bash", "-c", script, str(BUILDING / "environment.sh")]
    said = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603  # our own script
    kubernetes, tools = map(Path, said.stdout.splitlines())
    return Programs(kubernetes, tools)


class ControlPlane:
    """Of one directory, which keeps nothing: each has new certificates, and no objects."""

    def __init__(self, directory: Path, binaries: Path, ports: Ports) -> None:
        self._directory, self._binaries = directory, binaries
        self._etcd, self._peer, self._api = map(ports.take, ("etcd", "etcd-peer", "kube-apiserver"))
        self._authority = trustme.CA()
        self._admin = secrets.token_urlsafe()

    def kubeconfig(self, name: str, token: str = "") -> Path:
        """For whoever has the token; else for an administrator."""
        trusted = b64encode(self._authority.cert_pem.bytes()).decode()
        server = {"server": f"https://{LOOPBACK}:{self._api}", "certificate-authority-data": trusted}
        told = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": name,
            "clusters": [{"name": name, "cluster": server}],
            "users": [{"name": name, "user": {"token": token or self._admin}}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        }
        # JSON is YAML, too.
        return write_private(self._directory / f"{name}.conf", json.dumps(told))

    def programs(self) -> Sequence[Program]:
        certificate, key = self._directory / "api.crt", self._directory / "api.key"
        identity = self._authority.issue_cert(LOOPBACK)
        identity.cert_chain_pems[0].write_to_path(certificate)
        # It signs the tokens of service accounts, too.
        write_private(key, identity.private_key_pem.bytes().decode())
        tokens = write_private(self._directory / "tokens.csv", f"{self._admin},admin,admin,system:masters\n")
        clients, peers = f"http://{LOOPBACK}:{self._etcd}", f"http://{LOOPBACK}:{self._peer}"
        etcd = [
            str(self._binaries / "etcd"),
            f"--data-dir={self._directory / 'etcd'}",
            "--unsafe-no-fsync",
            "--log-level=warn",
            f"--listen-client-urls={clients}",
            f"--advertise-client-urls={clients}",
            f"--listen-peer-urls={peers}",
            f"--initial-advertise-peer-urls={peers}",
            f"--initial-cluster=default={peers}",
        ]
        api_server = [
            str(self._binaries / "kube-apiserver"),
            f"--etcd-servers={clients}",
            f"--bind-address={LOOPBACK}",
            f"--advertise-address={LOOPBACK}",
            f"--secure-port={self._api}",
            # No Service leads to it.
            "--endpoint-reconciler-type=none",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--authorization-mode=RBAC",
            f"--token-auth-file={tokens}",
            f"--tls-cert-file={certificate}",
            f"--tls-private-key-file={key}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={key}",
            f"--service-account-signing-key-file={key}",
        ]
        return (
            Program("etcd", etcd, os.environ, self._directory),
            Program("kube-apiserver", api_server, os.environ, self._directory),
        )
