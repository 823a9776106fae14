"""What torch.save wrote, read without running any code of it, and without reading what nobody asks for."""

import pickle
import struct
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import SEEK_END, BytesIO
from pathlib import Path
from typing import IO, Any, NamedTuple
from zipfile import ZipInfo

import numpy as np
import torch
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


class _NumpyNumber:
    """Stands for a number of numpy's, and for its type: many checkpoints have some, which no import reads."""

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, _: object) -> None:
        pass


LOCAL_HEADER = struct.Struct("<4s22xHH")
"""Of an entry of a zip file: its signature, and the lengths of its name and of what follows, before the content."""
IGNORED: list[Any] = [
    (_NumpyNumber, name) for name in ("numpy._core.multiarray.scalar", "numpy.core.multiarray.scalar", "numpy.dtype")
]
"""What these names, of numpy since 2.0 and before, are read as."""


class Record(NamedTuple):
    """Where the values of a storage lie in a file."""

    start: int
    end: int


def load(path: Path) -> Any:
    """The objects in a file, with a Weight in place of every tensor.

    CheckpointError: it is no such file, is not whole, or would run code. OSError: it cannot be read.
    """
    with path.open("rb") as file:
        beginning = file.read(4)
    if zipfile.is_zipfile(path):
        with _refusing(path):
            skeleton, records = _without_values(path)
            with FakeTensorMode():  # tensors know where in the file they lie, and have no values
                found = torch.load(skeleton, map_location="cpu", weights_only=True)
            return _with_weights(found, path, records, "")
    if beginning.startswith(b"PK"):
        raise CheckpointError(f"{path} is truncated: it begins as torch.save writes files and does not end so")
    if not beginning.startswith(b"\x80"):  # how pickles begin
        raise CheckpointError(f"{path} is no file of torch.save's")
    with _refusing(path):  # before torch 1.6, files had all values in one piece
        return _with_weights(torch.load(path, map_location="cpu", weights_only=True), path, {}, "")


@contextmanager
def _refusing(path: Path) -> Iterator[None]:
    try:
        with torch.serialization.safe_globals(IGNORED), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what may be wrong with a file, the first thing that is so is said
            yield
    except (OSError, CheckpointError):
        raise
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
    except RecursionError:
        raise CheckpointError(f"{path} has objects within objects without end") from None
    except Exception as error:  # of all that a damaged file may lead the unpickler to
        reason = str(error).partition("\n")[0].partition(". ")[0]
        raise CheckpointError(f"{path} is truncated or damaged: {reason or type(error).__name__}") from None


def _without_values(path: Path) -> tuple[BytesIO, dict[int, Record]]:
    """A zip file of torch.save's with the values left out, and where these lie, by where they would lie in it.

    Without values torch takes it for granted that records lie as it writes them, which is no more so once somebody has
    packed them anew; of what is left it looks up every one. CheckpointError: a zip file of another kind.
    """
    skeleton, records = BytesIO(), {}
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(skeleton, "w") as bare, path.open("rb") as file:
        entries = {entry.filename.partition("/")[2]: entry for entry in archive.infolist()}
        if "data.pkl" not in entries:
            raise CheckpointError(f"{path} is a zip file, and none of torch.save's")
        if any(name.startswith("code/") for name in entries):
            raise CheckpointError(f"{path} is a TorchScript program, which is code; {ADVICE}")
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries.values()):
            raise CheckpointError(f"{path} was compressed after torch.save wrote it; unpack it, and zip it with zip -0")
        if "byteorder" in entries and archive.read(entries["byteorder"]) == b"big":
            raise CheckpointError(f"{path} was written on a big-endian machine; load it and save it on another")
        for name in ("version", "data.pkl"):
            bare.writestr(f"bare/{name}", archive.read(entries[name]))
        for name, entry in entries.items():
            if name.startswith("data/"):
                start = _start(file, entry)
                own = ZipInfo(f"bare/{name}")
                bare.writestr(own, b"")
                records[_start(skeleton, own)] = Record(start, start + entry.file_size)
                skeleton.seek(0, SEEK_END)
    skeleton.seek(0)
    return skeleton, records


def _start(file: IO[bytes], entry: ZipInfo) -> int:
    """Where the content of an entry lies in a zip file."""
    file.seek(entry.header_offset)
    signature, name, extra = LOCAL_HEADER.unpack(file.read(LOCAL_HEADER.size))
    if signature != b"PK\3\4":
        raise zipfile.BadZipFile(f"there is no {entry.filename} where it should be")
    return entry.header_offset + LOCAL_HEADER.size + int(name) + int(extra)


def _with_weights(found: Any, path: Path, records: Mapping[int, Record], key: str) -> Any:
    if isinstance(found, Tensor):
        return _weight(found, path, records, key)
    if isinstance(found, Mapping):
        items = ((name, value, f"{key}.{name}" if key else str(name)) for name, value in found.items())
        return {name: _with_weights(value, path, records, within) for name, value, within in items}
    if isinstance(found, list | tuple):
        return [_with_weights(value, path, records, f"{key}.{place}") for place, value in enumerate(found)]
    return found


def _weight(tensor: Tensor, path: Path, records: Mapping[int, Record], key: str) -> Weight:
    origin = f"{path}: {key or 'the tensor'}"
    if tensor.layout is not torch.strided or tensor.is_quantized:
        raise CheckpointError(
            f"{origin} is {'quantized' if tensor.is_quantized else 'sparse'}; save it as dense floats"
        )
    if tensor.device.type != "cpu":
        raise CheckpointError(f"{origin} lies on the device {tensor.device.type}, and has no values")
    if tensor.dtype not in READ or tensor.is_neg():
        raise CheckpointError(f"{origin} holds {'negated ' * tensor.is_neg()}{tensor.dtype}; save it as float32")
    shape = tuple(tensor.shape)
    if not tensor.numel():
        return held(np.empty(shape, np.float32), origin)
    offset = getattr(tensor.untyped_storage(), "_checkpoint_offset", None)
    if offset is None:
        return held(_plain(tensor.detach()).numpy(), origin)
    bfloat16 = tensor.dtype is torch.bfloat16
    dtype = np.dtype(np.uint16) if bfloat16 else np.dtype(str(tensor.dtype).removeprefix("torch."))
    size = dtype.itemsize
    strides = tuple(size * stride for stride in tensor.stride())
    record = records[offset]
    span = Span(path, record.start + size * int(tensor.storage_offset()), dtype, shape, strides, bfloat16)
    if not record.start <= span.offset <= span.end <= record.end:
        raise CheckpointError(f"{path} is truncated or damaged: {key} goes beyond what the file has of it")
    return Weight(shape, origin, span.stored)


def _plain(tensor: Tensor) -> Tensor:
    """In a type that numpy has."""
    return tensor.float() if tensor.dtype is torch.bfloat16 else tensor
