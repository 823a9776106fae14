"""What a benchmark ran on. SystemExit says in one sentence what a GPU run lacks."""

import ctypes
import platform
import shutil
import subprocess
from pathlib import Path

import onnx
import onnxruntime
from onnx import TensorProto, helper

from benchmarks.device import Device
from benchmarks.record import processor
from thimble.ops.library import find_native_ops


def facts(device: Device) -> dict[str, str]:
    """The chip, its driver, and the versions of what runs on it."""
    chip = {"chip": processor()["name"]} if device.kind == "cpu" else _gpu()
    return chip | {"system": platform.platform(), "onnxruntime": onnxruntime.__version__}


def native_library(device: Device) -> Path:
    """The library with the device's native lookup, once it is sure that there is such a device."""
    if device.kind == "cuda":
        if device.provider not in onnxruntime.get_available_providers():
            raise SystemExit(
                f"onnxruntime {onnxruntime.__version__} has no CUDA provider, onnxruntime-gpu[cuda,cudnn] has"
            )
        _driver()
        onnxruntime.preload_dlls()
        if device.session(_identity()).get_providers()[0] != device.provider:
            raise SystemExit("ONNX Runtime cannot use this GPU, for the reason that it gives above")
    native = find_native_ops()
    if native is None or device.provider not in native.providers:
        raise SystemExit(
            f"there is no native lookup for {device.provider}: run make ops, for a GPU where nvcc is found"
        )
    return native.path


def _driver() -> ctypes.CDLL:
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        raise SystemExit("there is no NVIDIA GPU here: its driver's libcuda.so.1 is not installed") from None
    if (status := driver.cuInit(0)) != 0:
        raise SystemExit(f"there is no NVIDIA GPU here that can be used: cuInit answers {status}")
    return driver


def _gpu() -> dict[str, str]:
    """Of the first GPU, which is the one that sessions run on."""
    driver, number, name, version = _driver(), ctypes.c_int(), ctypes.create_string_buffer(256), ctypes.c_int()
    driver.cuDeviceGet(ctypes.byref(number), 0)
    driver.cuDeviceGetName(name, len(name), number)
    driver.cuDriverGetVersion(ctypes.byref(version))
    return {
        "chip": name.value.decode(),
        "driver": _driver_version(),
        "driver_cuda": f"{version.value // 1000}.{version.value % 1000 // 10}",
        "onnxruntime_cuda": onnxruntime.cuda_version,
    }


def _driver_version() -> str:
    if not shutil.which("nvidia-smi"):
        return "unknown"
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    return subprocess.check_output(query, text=True).splitlines()[0].strip()


def _identity() -> onnx.ModelProto:
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("in", "out")]
    graph = helper.make_graph([helper.make_node("Identity", ["in"], ["out"])], "identity", values[:1], values[1:])
    model: onnx.ModelProto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return model
