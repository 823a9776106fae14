"""What the sandbox process gets of the server's environment."""

import os
from collections.abc import Mapping

# Where Python, ONNX Runtime and CUDA find their own, and how they are set. Nothing else: a name does not tell whether
# the value is a key.
_NAMES = {
    "HOME",
    "LANG",
    "LANGUAGE",
    "LD_LIBRARY_PATH",
    "NVIDIA_DRIVER_CAPABILITIES",
    "NVIDIA_VISIBLE_DEVICES",
    "OMP_NUM_THREADS",
    "ORT_DISABLE_TELEMETRY",
    "PATH",
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONHOME",
    "PYTHONPATH",
    "PYTHONUSERBASE",
    "TMPDIR",
    "TZ",
}
_PREFIXES = ("CUDA_", "LC_")
_PATHS = ("LD_LIBRARY_PATH", "PYTHONPATH")


def environment(server: Mapping[str, str]) -> dict[str, str]:
    """Of the server's environment, what a process needs that runs in another folder."""
    passed = {name: value for name, value in server.items() if name in _NAMES or name.startswith(_PREFIXES)}
    for name in _PATHS:
        if name in passed:
            passed[name] = os.pathsep.join(os.path.abspath(path) for path in passed[name].split(os.pathsep))  # noqa: PTH100 - "" is this folder
    return passed
