"""What torch.save wrote, read without running any code of it, and without reading what nobody asks for."""

import pickle
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy._core.multiarray import scalar
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from thimble.export.importing.weights import CheckpointError, Span, Weight, held

SHARDED = ("ShardedTensor", "DTensor", "DistributedTensor")
READ = {
    *(torch.float64, torch.float32, torch.float16, torch.bfloat16),
    *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool),
}
"""Types that numpy has, or that are read as if it had."""
ADVICE = "torch.save(model.state_dict(), PATH) writes what can be imported"
# Numbers of numpy: harmless, and beside the weights of many checkpoints.
HARMLESS: list[Any] = [scalar, np.dtype, *{type(np.dtype(code)) for code in "?bBhHiIlLqQefdg"}]


def load(path: Path) -> Any:
    """The objects in a file, with a Weight in place of every tensor.

    CheckpointError: it is no such file, is not whole, or would run code. OSError: it cannot be read.
    """
    with path.open("rb") as file:
        beginning = file.read(4)
    if zipfile.is_zipfile(path):
        _check_entries(path)
        with FakeTensorMode(), _refusing(path):  # tensors know where in the file they lie, and have no values
            found = torch.load(path, map_location="cpu", weights_only=True)
        return _with_weights(found, path, "")
    if beginning.startswith(b"PK"):
        raise CheckpointError(f"{path} is truncated: it begins as torch.save writes files and does not end so")
    if not beginning.startswith(b"\x80"):  # how pickles begin
        raise CheckpointError(f"{path} is no file of torch.save's")
    with _refusing(path):  # before torch 1.6, files had all values in one piece
        return _with_weights(torch.load(path, map_location="cpu", weights_only=True), path, "")


@contextmanager
def _refusing(path: Path) -> Iterator[None]:
    try:
        with torch.serialization.safe_globals(HARMLESS), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what may be wrong with a file, the first thing that is so is said
            yield
    except pickle.UnpicklingError as error:
        text = str(error)
        if "Unsupported global: GLOBAL " not in text and "Unsupported operand" not in text:
            raise CheckpointError(f"{path} is truncated or damaged: it is no whole file of torch.save's") from None
        name = text.partition("GLOBAL ")[2].split(" ")[0].rstrip(".") or "an object"
        if name.endswith(SHARDED):
            raise CheckpointError(
                f"{path} is one process's part of a sharded model ({name}); gather it first: {ADVICE}"
            ) from None
        raise CheckpointError(f"{path} would run code ({name}) if it were read, so it is refused; {ADVICE}") from None
    except (EOFError, RuntimeError, ValueError, KeyError, IndexError, AttributeError, TypeError) as error:
        reason = str(error).partition("\n")[0]
        raise CheckpointError(f"{path} is truncated or damaged: {reason or type(error).__name__}") from None


def _check_entries(path: Path) -> None:
    """CheckpointError: a zip file of another kind."""
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        names = [entry.filename.partition("/")[2] for entry in entries]
        if "data.pkl" not in names:
            raise CheckpointError(f"{path} is a zip file, and none of torch.save's")
        if any(name.startswith("code/") for name in names):
            raise CheckpointError(f"{path} is a TorchScript program, which is code; {ADVICE}")
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise CheckpointError(f"{path} was compressed after torch.save wrote it; unpack it, and zip it with zip -0")
        order = next((entry for entry in entries if entry.filename.endswith("/byteorder")), None)
        if order and archive.read(order) == b"big":
            raise CheckpointError(f"{path} was written on a big-endian machine; load it and save it on another")


def _with_weights(found: Any, path: Path, key: str) -> Any:
    if isinstance(found, Tensor):
        return _weight(found, path, key)
    if isinstance(found, Mapping):
        return {
            name: _with_weights(value, path, f"{key}.{name}" if key else str(name)) for name, value in found.items()
        }
    if isinstance(found, list | tuple):
        return [_with_weights(value, path, f"{key}.{place}") for place, value in enumerate(found)]
    return found


def _weight(tensor: Tensor, path: Path, key: str) -> Weight:
    origin = f"{path}: {key or 'the tensor'}"
    if tensor.layout is not torch.strided or tensor.is_quantized:
        raise CheckpointError(
            f"{origin} is {'quantized' if tensor.is_quantized else 'sparse'}; save it as dense floats"
        )
    shape = tuple(tensor.shape)
    if not tensor.numel():
        return held(np.empty(shape, np.float32), origin)
    offset = getattr(tensor.untyped_storage(), "_checkpoint_offset", None)
    if offset is None:
        return held(_plain(tensor.detach()).numpy(), origin)
    if tensor.dtype not in READ:
        raise CheckpointError(f"{origin} holds {tensor.dtype}; save it as float32")
    bfloat16 = tensor.dtype is torch.bfloat16
    dtype = np.dtype(np.uint16) if bfloat16 else np.dtype(str(tensor.dtype).removeprefix("torch."))
    size = dtype.itemsize
    strides = tuple(size * stride for stride in tensor.stride())
    span = Span(path, offset + size * int(tensor.storage_offset()), dtype, shape, strides, bfloat16)
    if span.end > path.stat().st_size:
        raise CheckpointError(f"{path} is truncated: {key} ends beyond it")
    return Weight(shape, origin, span.stored)


def _plain(tensor: Tensor) -> Tensor:
    """In a type that numpy has."""
    return tensor.float() if tensor.dtype is torch.bfloat16 else tensor
