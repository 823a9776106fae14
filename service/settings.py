"""Settings, each a flag of thimble-serve and an environment variable THIMBLE_*."""

import os
import re
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_settings import BaseSettings, CliPositionalArg, NoDecode, SettingsConfigDict

MIB = 1 << 20
PREFIX = "THIMBLE_"
DAY = 86_400
_ORIGIN = re.compile(r"https?://([a-z0-9_.-]+|\[[0-9a-f:]+\])(:[0-9]{1,5})?").fullmatch
_OWN_PATHS = ("v1", "v2", "page", "docs", "openapi.json", "healthz", "readyz", "metrics")
_ROOT_PATH = re.compile(r"(/[\w.~-]+)+", re.ASCII).fullmatch
# Secrets come from files and the environment: command lines can be seen by everybody on a machine.
API_KEYS, ADMIN_KEYS = f"{PREFIX}API_KEYS", f"{PREFIX}ADMIN_KEYS"
Seconds = Annotated[float, Field(gt=0, le=DAY, allow_inf_nan=False)]
SecondsOrNone = Annotated[float, Field(ge=0, le=DAY, allow_inf_nan=False)]


def _check_proxies(text: str) -> str:
    """ValueError: something in it is neither an address nor a network."""
    for part in filter(None, map(str.strip, text.split(","))):
        try:
            ip_network(part)
        except ValueError as error:
            raise ValueError(f"{part[:100]!r} is no address and no network such as 10.0.0.0/8") from error
    return text


def _parts(given: str | tuple[str, ...]) -> tuple[str, ...]:
    """Of a list as a variable and repeated flags bring it."""
    return tuple(filter(None, map(str.strip, given.split(",")))) if isinstance(given, str) else given


def _origin(text: str) -> str:
    """As browsers write it, without the port that goes without saying. ValueError: it is no origin."""
    origin = text.lower()
    if origin != "*" and not _ORIGIN(origin):
        raise ValueError("it should be * or an origin such as https://shop.example or http://10.0.0.1:8080")
    return origin.removesuffix(":443" if origin.startswith("https:") else ":80")


def _root_path(text: str) -> str:
    """Without a slash at its end. ValueError: it is no path."""
    path = text.rstrip("/")
    if path and not _ROOT_PATH(path):
        raise ValueError("it should be a path such as /thimble")
    if path and path.split("/")[1] in _OWN_PATHS:
        raise ValueError("paths of the server's own begin so; it should be another, such as /thimble")
    return path


class Settings(BaseSettings):
    """Serve click-through models over HTTP."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_ignore_empty=True,
        cli_prog_name="thimble-serve",
        cli_kebab_case=True,
        cli_hide_none_type=True,
        cli_avoid_json=True,
        cli_implicit_flags=True,
    )

    repository: CliPositionalArg[Path] = Field(
        default=Path("artifacts"),
        description="a model repository (MODEL/VERSION/model.onnx; the newest versions are served) or one file",
    )
    host: Annotated[str, Field(min_length=1, description="address to listen on")] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535, description="port to listen on, 0 for any free one")] = 8000
    device: Annotated[
        Literal["auto", "cpu", "cuda"], Field(description="where to score; auto takes a GPU where there is one")
    ] = "auto"
    threads: Annotated[int, Field(gt=0, description="CPU threads of a model; more cores are used best by workers")] = 1
    workers: Annotated[
        int, Field(gt=0, description="processes that share the port; a connection stays with one of them")
    ] = 1
    batch_rows: Annotated[
        int, Field(ge=0, description="rows that the engine scores at a time, 0 for 64 on a CPU and 4096 on a GPU")
    ] = 0
    max_queued_rows: Annotated[
        int, Field(gt=0, description="a request that finds so many rows waiting is refused with 429")
    ] = 4096
    timeout_ms: Annotated[
        float,
        Field(
            gt=0,
            le=1000 * DAY,
            allow_inf_nan=False,
            description="milliseconds that a request may take if it brings no timeout of its own",
        ),
    ] = 10_000
    ops_library: Annotated[
        Path | None, Field(description="library of the native lookup, by default the one built with this package")
    ] = None
    max_rows: Annotated[int, Field(gt=0, description="rows in one request")] = 10_000
    max_text_bytes: Annotated[
        int, Field(gt=0, description="bytes of JSON or lines in one request, also once decompressed")
    ] = 4 * MIB
    max_body_bytes: Annotated[
        int, Field(gt=0, description="bytes in one request with binary tensors, also once decompressed")
    ] = 16 * MIB
    max_inflight_bytes: Annotated[
        int, Field(gt=0, description="bytes of requests that one process receives and reads at a time")
    ] = 64 * MIB
    max_connections: Annotated[
        int, Field(gt=0, description="connections that one process keeps open; another is refused with 429")
    ] = 1024
    poll_s: Annotated[
        SecondsOrNone, Field(description="seconds between looks for new versions in the repository, 0 for none")
    ] = 0
    drain_s: Annotated[
        SecondsOrNone, Field(description="seconds after SIGTERM in which requests are still taken, but /readyz says no")
    ] = 5
    stop_timeout_s: Annotated[
        Seconds, Field(description="seconds after that in which what was accepted is answered; the rest is cut off")
    ] = 20
    worker_timeout_s: Annotated[
        Seconds, Field(description="seconds after which a worker that does not answer is killed and replaced")
    ] = 5
    api_keys_file: Annotated[
        Path | None, Field(description=f"keys that requests need, one a line; {API_KEYS} has more, split by commas")
    ] = None
    admin_keys_file: Annotated[
        Path | None, Field(description=f"keys that allow to change what is served, likewise; {ADMIN_KEYS} has more")
    ] = None
    tls_cert: Annotated[
        Path | None, Field(description="serve HTTPS with this certificate chain (PEM), which may be renewed in place")
    ] = None
    tls_key: Annotated[Path | None, Field(description="the private key of the certificate (PEM, no password)")] = None
    read_timeout_s: Annotated[Seconds, Field(description="seconds in which a request must arrive whole")] = 10
    max_model_bytes: Annotated[int, Field(gt=0, description="bytes of one .onnx file, without external data")] = (
        256 * MIB
    )
    access_log: Annotated[bool, Field(description="log a line a request")] = True
    log_probes: Annotated[bool, Field(description="log and trace probes and /metrics as well")] = False
    allow_origin: Annotated[
        tuple[Annotated[str, AfterValidator(_origin)], ...],
        NoDecode,
        BeforeValidator(_parts),
        Field(description="origin whose pages browsers let ask and read, * for any; several flags, or split by commas"),
    ] = ()
    root_path: Annotated[
        str,
        AfterValidator(_root_path),
        Field(description="path below which a proxy serves this, as /thimble, whether it takes it off or not"),
    ] = ""
    trusted_proxies: Annotated[
        str,
        Field(description="addresses and networks whose X-Forwarded-For and -Proto are believed, split by commas"),
        AfterValidator(_check_proxies),
    ] = "127.0.0.1,::1"
    tracing: Annotated[
        bool,
        Field(description="send a span a request to OpenTelemetry, as its OTEL_* variables say; needs the extra otel"),
    ] = False
    log_format: Annotated[Literal["human", "json"], Field(description="json: one line of JSON a request and event")] = (
        "human"
    )

    @property
    def models_may_come(self) -> bool:
        """Whether there may be models later where there are none at the start."""
        return self.poll_s > 0 or self.admin_keys_file is not None or ADMIN_KEYS in os.environ
