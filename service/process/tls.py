"""TLS: a certificate and its key in files, which may be renewed while they are served."""

import ssl
from functools import partial
from pathlib import Path
from typing import Self

from thimble.service.errors import StartupError
from thimble.service.settings import Settings
from thimble.service.watched import Watched


class Certificate:
    """A certificate chain and its private key, as PEM files.

    `context` is for all connections: it answers each handshake with what was read last.
    """

    def __init__(self, cert: Path, key: Path) -> None:
        """StartupError: a file cannot be read or holds something else, or they do not belong together."""
        self._files = Watched((cert, key), partial(_context, cert, key), "certificate and its key")
        self.context = self._files.value
        self.context.sni_callback = self._present

    @classmethod
    def of(cls, settings: Settings) -> Self | None:
        """The one that settings name, None where they name none. StartupError."""
        match settings.tls_cert, settings.tls_key:
            case None, None:
                return None
            case Path() as cert, Path() as key:
                return cls(cert, key)
        raise StartupError("--tls-cert and --tls-key need each other: a certificate and its private key")

    def refresh(self) -> None:
        """Read the files again if they have changed. What is no certificate with its key changes nothing."""
        self._files.refresh()

    def _present(self, connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        connection.context = self._files.value


def _context(cert: Path, key: Path) -> ssl.SSLContext:
    chain, _ = _text(cert), _text(key)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=chain)
    except (ssl.SSLError, ValueError):
        raise StartupError(f"{cert}: it holds no certificate in PEM form") from None

    def ask_for_password() -> str:
        raise StartupError(f"{key}: the private key is protected by a password; write it without one")

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(cert, key, ask_for_password)
    except ssl.SSLError as error:
        match error.reason:
            case None:
                problem = f"{key}: it holds no private key in PEM form"
            case "KEY_VALUES_MISMATCH" | "NO_CERTIFICATE_ASSIGNED":
                problem = f"{key}: it is not the key of the certificate in {cert}"
            case reason:
                problem = f"{cert} with {key}: {reason.replace('_', ' ').lower()}"
        raise StartupError(problem) from None
    return context


def _text(path: Path) -> str:
    try:
        return path.read_text("ascii", "ignore")  # comments around what counts may be in any language
    except OSError as error:
        raise StartupError(f"{path}: {error.strerror}") from None
