"""Certificates for servers on the loopback interface."""

import ssl
from pathlib import Path

import trustme


class Authority:
    """Signs certificates that its clients trust."""

    def __init__(self, folder: Path) -> None:
        self._authority = trustme.CA()
        self.cert, self.key, self.ca = (folder / name for name in ("tls.crt", "tls.key", "ca.crt"))
        self._authority.cert_pem.write_to_path(str(self.ca))
        self.renew()

    def renew(self) -> None:
        """Put a new certificate and key where the last ones were."""
        issued = self._authority.issue_cert("127.0.0.1")
        self.key.write_bytes(issued.private_key_pem.bytes())
        self.cert.write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))

    @property
    def flags(self) -> tuple[str, ...]:
        """Of a server."""
        return "--tls-cert", str(self.cert), "--tls-key", str(self.key)

    @property
    def client(self) -> ssl.SSLContext:
        """Of a client."""
        return ssl.create_default_context(cafile=self.ca)
