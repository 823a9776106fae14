"""Who may ask: keys for scoring, and others for changing what is served.

A key comes as `Authorization: Bearer KEY`. Keys are held as digests only, and what comes is hashed and compared with
all of them, so how long that takes says nothing about them.
"""

import hashlib
import hmac
import logging
import os
from pathlib import Path
from time import monotonic

from starlette.types import ASGIApp, Receive, Scope, Send

from service.bodies import Headers
from service.errors import RequestError, StartupError, send_error
from service.settings import ADMIN_KEYS, API_KEYS, Settings

SHORTEST = 16
# How often a file is looked at for new keys, and so how long a key that was taken out still works.
LOOK_SECONDS = 1.0
OPEN_PATHS = ("/healthz", "/readyz", "/v2/health/live", "/v2/health/ready")
_BEARER = b"bearer "
log = logging.getLogger("thimble")


class KeyRing:
    """Keys from a file, which may change at any time, and from an environment variable."""

    def __init__(self, path: Path | None, variable: str) -> None:
        """StartupError: a key is too weak, or the file cannot be read or holds none."""
        self._path = path
        self._fixed = _digests(os.environ.get(variable, "").split(","), variable)
        self._state: tuple[int, int, int] | None = None
        self._from_file: list[bytes] = []
        self._looked = monotonic()
        if path is not None:
            self._state = _state(path)
            self._from_file = _read(path)

    def __bool__(self) -> bool:
        return bool(self._fixed or self._from_file)

    def holds(self, key: bytes) -> bool:
        """Whether it is one of the keys."""
        self._look()
        digest = hashlib.sha256(key).digest()
        found = False
        for known in (*self._fixed, *self._from_file):
            found |= hmac.compare_digest(digest, known)
        return found

    def _look(self) -> None:
        """Read the file again if it has changed. What is no list of keys changes nothing."""
        now = monotonic()
        if self._path is None or now - self._looked < LOOK_SECONDS:
            return
        self._looked = now
        state = _state(self._path)
        if state == self._state:
            return
        self._state = state
        try:
            self._from_file = _read(self._path)
            log.info("%s: %d keys are in force", self._path, len(self._from_file))
        except StartupError as error:
            log.error("the keys stay as they were: %s", error)


class Keys:
    """The keys of a server. Without any for scoring, everybody may; without any for changes, nobody may."""

    def __init__(self, settings: Settings) -> None:
        """StartupError."""
        self._api = KeyRing(settings.api_keys_file, API_KEYS)
        self._admin = KeyRing(settings.admin_keys_file, ADMIN_KEYS)

    @property
    def guard_scoring(self) -> bool:
        """Whether a key is needed for everything but the probes."""
        return bool(self._api)

    @property
    def guard_changes(self) -> bool:
        """Whether there are keys that allow changes."""
        return bool(self._admin)

    def check(self, headers: Headers) -> None:
        """RequestError 401: a key is needed, and there is none, or a wrong one."""
        if self._api:
            key = _key(headers)
            if not self._api.holds(key) | self._admin.holds(key):
                raise _unknown(headers, "a key")

    def check_admin(self, headers: Headers) -> None:
        """RequestError: 401 there is no key, or a wrong one, 403 it allows no changes, or none does."""
        if not self._admin:
            raise RequestError(403, "this is off: no admin key is set (--admin-keys-file)", unread=True)
        key = _key(headers)
        admin, api = self._admin.holds(key), self._api.holds(key)
        if api and not admin:
            raise RequestError(403, "this key is for scoring; an admin key is needed", unread=True)
        if not admin:
            raise _unknown(headers, "an admin key")


class Gate:
    """ASGI middleware that asks for a key before anything else is looked at."""

    def __init__(self, app: ASGIApp, keys: Keys) -> None:
        self._app = app
        self._keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in OPEN_PATHS:
            try:
                self._keys.check(dict(scope["headers"]))
            except RequestError as error:
                await send_error(send, error)
                return
        await self._app(scope, receive, send)


def _key(headers: Headers) -> bytes:
    value = headers.get(b"authorization", b"")
    return value[len(_BEARER) :].strip() if value[: len(_BEARER)].lower() == _BEARER else b""


def _unknown(headers: Headers, wanted: str) -> RequestError:
    problem = "this key is not known" if b"authorization" in headers else "there is none"
    return RequestError(401, f"{wanted} is needed, as Authorization: Bearer KEY, and {problem}", unread=True)


def _state(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def _read(path: Path) -> list[bytes]:
    try:
        lines = path.read_text("ascii").splitlines()
    except OSError as error:
        raise StartupError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise StartupError(f"{path}: keys are printable ASCII") from None
    digests = _digests(["" if line.lstrip().startswith("#") else line for line in lines], str(path))
    if not digests:
        raise StartupError(f"{path}: it holds no key")
    return digests


def _digests(keys: list[str], source: str) -> list[bytes]:
    """The digests of keys, some of them blank. StartupError: one is weak."""
    digests = []
    for number, key in enumerate(map(str.strip, keys), 1):
        if not key:
            continue
        if len(key) < SHORTEST or not key.isprintable() or " " in key or "," in key:
            raise StartupError(f"{source}: key {number} is not at least {SHORTEST} printable characters without spaces")
        digests.append(hashlib.sha256(key.encode()).digest())
    return digests
