import logging
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np
import pytest

from testing.artifacts import write_artifact
from testing.data import DEMO
from testing.samples import SCHEMES, SHARED, random_batch, small_spec
from testing.servers import running
from thimble.models.quantization import MemoryPrecision
from thimble.models.spec import Precision
from thimble.ops.library import LIBRARY, NativeOps, find_native_ops
from thimble.service.engine.artifact import read_artifact
from thimble.service.engine.engine import Engine

needs_library = pytest.mark.skipif(not LIBRARY.is_file(), reason=f"{LIBRARY.name} is not built; make ops says why")
BOTH = frozenset({"CPUExecutionProvider", "CUDAExecutionProvider"})


def engine(path: Path, native: NativeOps | None) -> Engine:
    return Engine(read_artifact(path, 1 << 20), "cpu", 1, native)


@needs_library
@pytest.mark.parametrize("memory", ["fp32", "fp16"])
@pytest.mark.parametrize("scheme", SHARED)
def test_the_native_lookup_scores_as_the_function_does(scheme: str, memory: MemoryPrecision, tmp_path: Path) -> None:
    spec = small_spec(scheme).model_copy(update={"precision": Precision(memory=memory)})
    path = write_artifact(spec, tmp_path)
    native, function = engine(path, find_native_ops()), engine(path, None)
    assert (native.lookup, function.lookup) == ("native", "function")
    for rows in (1, 3, 3000):
        batch = random_batch(native.spec, rows)
        np.testing.assert_array_equal(native.score(batch), function.score(batch))


@needs_library
def test_the_native_lookup_scores_the_demo_as_its_function_does() -> None:
    """Which is of the older form: its function gives float16, and a Cast behind it widens."""
    artifact = read_artifact(DEMO, 1 << 28)
    native, function = Engine(artifact, "cpu", 1, find_native_ops()), Engine(artifact, "cpu", 1)
    assert (native.lookup, function.lookup) == ("native", "function")
    batch = random_batch(native.spec, 300)
    np.testing.assert_array_equal(native.score(batch), function.score(batch))


@needs_library
def test_the_library_that_was_built_has_a_cpu_kernel() -> None:
    found = find_native_ops()
    assert found is not None and "CPUExecutionProvider" in found.providers


def test_full_tables_have_no_lookup(tmp_path: Path) -> None:
    assert engine(write_artifact(small_spec("full"), tmp_path), find_native_ops()).lookup is None


@pytest.fixture
def compiled(tmp_path: Path) -> Callable[[str], Path]:
    """A library made of a few lines of C."""
    if not shutil.which("gcc"):
        pytest.skip("gcc is not installed")

    def make(source: str) -> Path:
        path = tmp_path / "libother.so"
        subprocess.run(["gcc", "-shared", "-o", path, "-x", "c", "-"], input=source.encode(), check=True)
        return path

    return make


REGISTERS_NOTHING = "void *RegisterCustomOps(void *options, const void *base) { return 0; }\n"


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (None, "is not there"),
        ("", "undefined symbol: thimble_ops_providers"),
        ('const char *thimble_ops_providers() { return ""; }', "RegisterCustomOps"),
    ],
)
def test_an_unusable_library_is_named_and_left_alone(
    source: str | None, reason: str, tmp_path: Path, request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "absent.so"
    if source is not None:
        path = request.getfixturevalue("compiled")(source)
    with caplog.at_level(logging.INFO, logger="thimble"):
        assert find_native_ops(path) is None
    (record,) = caplog.records
    assert record.levelno == logging.INFO and reason in record.getMessage() and path.name in record.getMessage()


def test_a_file_that_is_no_library_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "text.so"
    path.write_text("not a library")
    assert find_native_ops(path) is None


@pytest.mark.parametrize("providers", ["CPUExecutionProvider", "CUDAExecutionProvider"])
def test_a_library_whose_kernels_are_not_what_it_says_breaks_no_session(
    providers: str, compiled: Callable[[str], Path], small_artifact: Path
) -> None:
    path = compiled(f'{REGISTERS_NOTHING}const char *thimble_ops_providers() {{ return "{providers}"; }}')
    native = find_native_ops(path)
    assert native is not None
    batch = random_batch(small_spec(kinds=("string", "string", "int", "hex")), 5)
    with_it, without = engine(small_artifact, native), engine(small_artifact, None)
    np.testing.assert_array_equal(with_it.score(batch), without.score(batch))


@needs_library
def test_a_library_without_a_kernel_for_the_provider_is_not_registered(small_artifact: Path) -> None:
    only_cuda = NativeOps(LIBRARY, BOTH - {"CPUExecutionProvider"})
    assert engine(small_artifact, only_cuda).lookup == "function"


def test_a_library_that_vanishes_breaks_no_session(
    small_artifact: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="thimble"):
        assert engine(small_artifact, NativeOps(tmp_path / "gone.so", BOTH)).lookup == "function"
    assert "no native lookup" in caplog.text


@needs_library
@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_server_says_which_lookup_is_live(scheme: str, tmp_path: Path) -> None:
    path = write_artifact(small_spec(scheme), tmp_path)
    with running(path) as server:
        line = server.wait_for_line("serving small").string
        (model,) = httpx.get(f"{server.url}/v1/models").json()
    assert model["lookup"] == (None if scheme == "full" else "native")
    assert ("with its native lookup" in line) == (scheme != "full")
    assert not [line for line in server.lines if "no native lookup" in line]


def test_a_server_without_the_library_says_so_once(small_artifact: Path, tmp_path: Path) -> None:
    for version in ("1", "2"):
        for name in ("one", "two"):
            (tmp_path / name / version).mkdir(parents=True)
            shutil.copy(small_artifact, tmp_path / name / version)
    with running(tmp_path, "--ops-library", "absent.so") as server:
        assert "function lookup" in server.wait_for_line("serving two").string
        models = httpx.get(f"{server.url}/v1/models").json()
    assert [model["lookup"] for model in models] == ["function", "function"]
    (line,) = (line for line in server.lines if "no native lookup" in line)
    assert "absent.so is not there" in line and "INFO" in line.upper()
