"""A certificate authority of the tests' own, and certificates by it as files."""

from pathlib import Path
from typing import NamedTuple

import trustme

from services.shared.tls import Identity


class Authority(NamedTuple):
    """`file` holds its own certificate: what a client has to believe."""

    file: Path
    ca: trustme.CA

    @classmethod
    def made_in(cls, directory: Path) -> "Authority":
        directory.mkdir(parents=True, exist_ok=True)
        ca = trustme.CA()
        ca.cert_pem.write_to_path(directory / "ca.crt")
        return cls(directory / "ca.crt", ca)

    def identity(self, *names: str) -> Identity:
        """For a server that is called by these names or addresses."""
        issued = self.ca.issue_cert(*names)
        found = Identity(self.file.with_name(f"{names[0]}.crt"), self.file.with_name(f"{names[0]}.key"))
        found.certificate.write_bytes(b"".join(each.bytes() for each in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(found.key)
        return found
