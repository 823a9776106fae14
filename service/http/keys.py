"""Who may ask: keys for scoring, and others for changing what is served.

A key comes as `Authorization: Bearer KEY`. Keys are held as digests only, and what comes is hashed and compared with
all of them, so how long that takes says nothing about them. Each has a name, with which the log says who changed what.
"""

import hashlib
import hmac
import os
from functools import partial
from pathlib import Path
from typing import NamedTuple

from starlette.types import ASGIApp, Receive, Scope, Send

from thimble.service.errors import RequestError, StartupError
from thimble.service.http import paths
from thimble.service.http.headers import Headers
from thimble.service.http.replies import Reply, send_reply
from thimble.service.settings import ADMIN_KEYS, API_KEYS, Settings
from thimble.service.watched import Watched

SHORTEST = 16
OPEN_PATHS = frozenset({*paths.PROBES, *paths.PAGES})
_BEARER = b"bearer "


class _Key(NamedTuple):
    digest: bytes
    name: str


class KeyRing:
    """Keys from a file, which may change at any time, and from an environment variable."""

    def __init__(self, path: Path | None, variable: str) -> None:
        """StartupError: a key is too weak, or the file cannot be read or holds none, or the variable is set without."""
        self._fixed = _keys(os.environ[variable].split(","), variable) if variable in os.environ else []
        self._file = None if path is None else Watched((path,), partial(_read, path), "keys")

    def __bool__(self) -> bool:
        return bool(self._fixed) or self._file is not None

    def find(self, digest: bytes) -> str | None:
        """The name of the key of this digest, None if there is none. All are compared, whichever it is."""
        self.refresh()
        known = (*self._fixed, *(self._file.value if self._file else ()))
        names = [key.name for key in known if hmac.compare_digest(digest, key.digest)]
        return names[0] if names else None

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

    def check_admin(self, headers: Headers) -> str:
        """The name of the key, which allows changes.

        RequestError: 401 there is no key, or a wrong one, 403 it allows no changes, or none does.
        """
        if not self.guard_changes:
            raise RequestError(403, "this is off: no admin key is set (--admin-keys-file)", unread=True)
        digest = _digest(headers)
        admin, api = self._admin.find(digest), self._api.find(digest)
        if admin is not None:
            return admin
        if api is not None:
            raise RequestError(403, "this key is for scoring; an admin key is needed", unread=True)
        raise _unknown(headers, "an admin key")

    def _check_any(self, headers: Headers) -> None:
        digest = _digest(headers)
        if (self._api.find(digest), self._admin.find(digest)) == (None, None):
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


def _read(path: Path) -> list[_Key]:
    try:
        lines = path.read_text("ascii").splitlines()
    except OSError as error:
        raise StartupError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise StartupError(f"{path}: keys are printable ASCII") from None
    return _keys(["" if line.lstrip().startswith("#") else line for line in lines], str(path))


def _keys(entries: list[str], source: str) -> list[_Key]:
    """The keys of some entries, KEY or KEY # NAME, some of them blank. One without a name has that of its place.

    StartupError: one is weak, or there is none: nobody means that.
    """
    keys = []
    for number, entry in enumerate(entries, 1):
        key, _, name = map(str.strip, entry.partition(" #"))
        if not key:
            continue
        if len(key) < SHORTEST or not (key.isascii() and key.isprintable()) or " " in key or "," in key:
            raise StartupError(f"{source}: key {number} is not at least {SHORTEST} printable characters without spaces")
        keys.append(_Key(hashlib.sha256(key.encode()).digest(), name or f"key {number} of {source}"))
    if not keys:
        raise StartupError(f"{source}: it holds no key")
    return keys
