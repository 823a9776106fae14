"""Build the native HashLookup beside its sources, where the server looks for it.

    python ops/build.py [--fetch-headers]

Needs CMake, a C++20 compiler and ONNX Runtime's C headers; where nvcc is found the library has a CUDA kernel too. What
is missing is said, and is no error: servers then run the lookup as standard operators. Standard library only, because
building a package runs it with nothing else installed.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

SOURCES = Path(__file__).resolve().parent
ROOT = SOURCES.parent
WORK = ROOT / "build" / "ops"
HEADERS = ROOT / "build" / "onnxruntime-headers"
BUILT = WORK / "libthimble_ops.so"
LIBRARY = SOURCES / "libthimble_ops.so"


def build() -> str | None:
    """Build LIBRARY, or say in one sentence why not."""
    cmake = shutil.which("cmake")
    if cmake is None:
        return "cmake is not installed"
    configure = [cmake, "-S", str(SOURCES), "-B", str(WORK)]
    if HEADERS.is_dir():
        configure.append(f"-DTHIMBLE_ORT_HEADERS={HEADERS / 'usr/include/onnxruntime'}")
    for command in (configure, [cmake, "--build", str(WORK), "--parallel"]):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            return _reason(done.stdout + done.stderr)
    # a running server keeps the library that it has mapped
    partial = LIBRARY.with_suffix(".partial")
    shutil.copy2(BUILT, partial)
    os.replace(partial, LIBRARY)  # noqa: PTH105
    return None


def _reason(output: str) -> str:
    if "ORT_INCLUDE" in output:
        return "ONNX Runtime's C headers are not there (Debian 13 has them as libonnxruntime-dev)"
    errors = [line.strip() for line in output.splitlines() if "error" in line.lower()]
    return f"{errors[0] if errors else 'cmake failed'}; see cmake -S {SOURCES} -B {WORK}"


def main() -> None:
    if "--fetch-headers" in sys.argv[1:] and not Path("/usr/include/onnxruntime/onnxruntime_cxx_api.h").is_file():
        done = subprocess.run(
            [sys.executable, SOURCES / "fetch_headers.py", HEADERS], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
        )
        if done.returncode:
            print(f"no headers of ONNX Runtime: {done.stderr.decode().strip()}")
    if problem := build():
        print(f"the lookup goes without its native op: {problem}")
    else:
        print(f"built {LIBRARY.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
