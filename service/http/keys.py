"""Who may ask: keys for scoring, and others for changing what is served.

A key comes as `Authorization: Bearer KEY`. Keys are held as digests only, and what comes is hashed and compared with
all of them, so how long that takes says nothing about them.
"""

import hashlib
import hmac
import os
from functools import partial
from pathlib import Path

from starlette.types import ASGIApp, Receive, Scope, Send

from thimble.service.errors import RequestError, StartupError
from thimble.service.http import paths
from thimble.service.http.bodies import Headers
from thimble.service.http.replies import Reply, send_reply
from thimble.service.settings import ADMIN_KEYS, API_KEYS, Settings
from thimble.service.watched import Watched

SHORTEST = 16
OPEN_PATHS = paths.PROBES
_BEARER = b"bearer "


class KeyRing:
    """Keys from a file, which may change at any time, and from an environment variable."""

    def __init__(self, path: Path | None, variable: str) -> None:
        """StartupError: a key is too weak, or the file cannot be read or holds none, or the variable is set without."""
        self._fixed = _digests(os.environ[variable].split(","), variable) if variable in os.environ else []
        self._file = None if path is None else Watched((path,), partial(_read, path), "keys")

    def __bool__(self) -> bool:
        return bool(self._fixed) or self._file is not None

    def holds(self, digest: bytes) -> bool:
        """Whether it has a key of this digest."""
        self.refresh()
        known = (*self._fixed, *(self._file.value if self._file else ()))
        return sum(hmac.compare_digest(digest, other) for other in known) > 0  # any() would stop at the first

    def refresh(self) -> None:
        if self._file is not None:
            self._file.refresh()


class Keys:
    """The keys of a server. Without any for scoring, everybody may; without any for changes, nobody may.

    `guard_scoring`: a key is needed for everything but the probes. `guard_changes`: there are keys that allow changes.
    """

    def __init__(self, settings: Settings) -> None:
        """StartupError."""
        self._api = KeyRing(settings.api_keys_file, API_KEYS)
        self._admin = KeyRing(settings.admin_keys_file, ADMIN_KEYS)
        self.guard_scoring = bool(self._api)
        self.guard_changes = bool(self._admin)

    def refresh(self) -> None:
        """Take changed files into account, as every check does."""
        self._api.refresh()
        self._admin.refresh()

    def check(self, headers: Headers) -> None:
        """RequestError 401: a key is needed, and there is none, or a wrong one."""
        if self.guard_scoring:
            self._check_any(headers)

    def require(self, headers: Headers) -> None:
        """For what is never open. RequestError: 401 there is no key, or a wrong one, 403 none is set."""
        if not self.guard_scoring and not self.guard_changes:
            raise RequestError(403, "this is off: it needs a key, and none is set (--api-keys-file)", unread=True)
        self._check_any(headers)

    def check_admin(self, headers: Headers) -> None:
        """RequestError: 401 there is no key, or a wrong one, 403 it allows no changes, or none does."""
        if not self.guard_changes:
            raise RequestError(403, "this is off: no admin key is set (--admin-keys-file)", unread=True)
        digest = _digest(headers)
        admin, api = self._admin.holds(digest), self._api.holds(digest)
        if api and not admin:
            raise RequestError(403, "this key is for scoring; an admin key is needed", unread=True)
        if not admin:
            raise _unknown(headers, "an admin key")

    def _check_any(self, headers: Headers) -> None:
        digest = _digest(headers)
        if not self._api.holds(digest) | self._admin.holds(digest):
            raise _unknown(headers, "a key")


class Gate:
    """ASGI middleware that asks for a key before anything else is looked at; scoring requests are checked when they are
    admitted, whichever door they take."""

    def __init__(self, app: ASGIApp, keys: Keys) -> None:
        self._app = app
        self._keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in OPEN_PATHS and not paths.scores(scope):
            try:
                self._keys.check(dict(scope["headers"]))
            except RequestError as error:
                await send_reply(send, Reply.to(error))
                return
        await self._app(scope, receive, send)


def _digest(headers: Headers) -> bytes:
    """Of the key that a request brings; of nothing where it brings none."""
    value = headers.get(b"authorization", b"")
    key = value[len(_BEARER) :].strip() if value[: len(_BEARER)].lower() == _BEARER else b""
    return hashlib.sha256(key).digest()


def _unknown(headers: Headers, wanted: str) -> RequestError:
    problem = "this key is not known" if b"authorization" in headers else "there is none"
    return RequestError(401, f"{wanted} is needed, as Authorization: Bearer KEY, and {problem}", unread=True)


def _read(path: Path) -> list[bytes]:
    try:
        lines = path.read_text("ascii").splitlines()
    except OSError as error:
        raise StartupError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise StartupError(f"{path}: keys are printable ASCII") from None
    return _digests(["" if line.lstrip().startswith("#") else line for line in lines], str(path))


def _digests(keys: list[str], source: str) -> list[bytes]:
    """The digests of keys, some of them blank. StartupError: one is weak, or there is none: nobody means that."""
    digests = []
    for number, key in enumerate(map(str.strip, keys), 1):
        if not key:
            continue
        if len(key) < SHORTEST or not (key.isascii() and key.isprintable()) or " " in key or "," in key:
            raise StartupError(f"{source}: key {number} is not at least {SHORTEST} printable characters without spaces")
        digests.append(hashlib.sha256(key.encode()).digest())
    if not digests:
        raise StartupError(f"{source}: it holds no key")
    return digests
