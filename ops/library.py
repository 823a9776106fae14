"""The library with the native lookup (its sources are beside this file): whether there is one that works here.

Without it the same model runs its lookup as standard operators, so nothing here ever fails.
"""

import ctypes
import logging
from dataclasses import dataclass
from pathlib import Path

import onnxruntime

LIBRARY = Path(__file__).with_name("libthimble_ops.so")
log = logging.getLogger("thimble")


@dataclass(frozen=True)
class NativeOps:
    """A library that loads, and the ONNX Runtime providers that it has kernels for."""

    path: Path
    providers: frozenset[str]


def find_native_ops(path: Path | None = None) -> NativeOps | None:
    """The library at `path`, by default the one that was built with this package. Logs why there is none."""
    if path is None and not LIBRARY.exists():
        log.info("lookups run as standard operators; `make ops` builds a native kernel for them, which is faster")
        return None
    try:
        return _load((path or LIBRARY).resolve())
    except Exception as error:  # ORT has no public base class for its errors
        log.info("no native lookup, standard operators do its work: %s", " ".join(str(error).split()))
        return None


def _load(path: Path) -> NativeOps:
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there")
    providers = ctypes.CDLL(str(path)).thimble_ops_providers
    providers.restype = ctypes.c_char_p
    onnxruntime.SessionOptions().register_custom_ops_library(str(path))
    return NativeOps(path, frozenset(providers().decode().split(",")))
