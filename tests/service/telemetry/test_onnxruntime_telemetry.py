from pathlib import Path

import pytest

from testing.servers import running


def test_onnx_runtime_keeps_no_telemetry(small_artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME", "XDG_STATE_HOME"):  # this process has the first by now
        monkeypatch.delenv(name, raising=False)
    home = tmp_path / "home"
    home.mkdir()
    with running(small_artifact, env={"HOME": str(home)}):
        pass
    assert not [path for path in home.rglob("*") if "onnxruntime" in str(path)]
