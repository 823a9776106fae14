import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from testing.servers import Server, running


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_it_with_status_0(small_artifact: Path, number: signal.Signals) -> None:
    server = Server(small_artifact, "--port", "0")
    assert httpx.get(f"{server.url}/readyz").status_code == 200
    server.process.send_signal(number)
    assert server.wait() == 0
    assert server.lines[-1].endswith("stopped") and not [line for line in server.lines if "Traceback" in line]


@pytest.mark.parametrize("attempt", range(4))
def test_a_signal_at_the_very_first_moment_is_not_lost(small_artifact: Path, attempt: int) -> None:
    server = Server(small_artifact, "--port", "0")
    _ = server.url
    server.process.terminate()
    assert server.wait() == 0


def test_torch_is_not_in_its_process(small_artifact: Path) -> None:
    with running(small_artifact) as server:
        httpx.get(f"{server.url}/v1/models")
        maps = Path(f"/proc/{server.process.pid}/maps").read_text()
    assert "onnxruntime" in maps and "torch" not in maps
    modules = "import sys, thimble.service.cli, thimble.client.first_score; print('torch' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", modules], text=True).strip() == "False"


def test_it_says_at_start_which_provider_runs(small_artifact: Path) -> None:
    with running(small_artifact) as server:
        line = server.wait_for_line("serving small version 1").string
        provider = httpx.get(f"{server.url}/v1/models").json()[0]["provider"]
    assert line.endswith(f"on {provider}")


def test_settings_come_from_the_environment_and_flags_win(small_artifact: Path) -> None:
    env = {"THIMBLE_MAX_ROWS": "2", "THIMBLE_LOG_FORMAT": "json", "THIMBLE_REPOSITORY": str(small_artifact)}
    body = {"features": {"d0": [1, 2, 3]}}
    with running(env=env) as server:
        assert httpx.post(f"{server.url}/v1/score", json=body).status_code == 413
    with running(small_artifact, "--max-rows", "3", env=env) as server:
        assert httpx.post(f"{server.url}/v1/score", json=body).status_code == 200


def test_json_logs_have_a_line_a_request(small_artifact: Path) -> None:
    with running(small_artifact, "--log-format", "json") as server:
        httpx.post(f"{server.url}/v1/score", json={"features": {"d0": [1, 2, 3]}})
        server.wait_for_line('"path":"/v1/score"')
        httpx.get(f"{server.url}/nothing?secret=1")
        server.wait_for_line('"path":"/nothing"')
    lines = [json.loads(line) for line in server.lines]
    request = next(line for line in lines if line.get("path") == "/v1/score")
    assert request["status"] == 200 and request["rows"] == 3 and request["model"] == "small" and request["ms"] > 0
    assert next(line for line in lines if line.get("path") == "/nothing")["status"] == 404


def failure(*arguments: str | Path, env: dict[str, str] | None = None) -> tuple[int, str]:
    server = Server(*arguments, env=env)
    status = server.wait()
    assert not [line for line in server.lines if "Traceback" in line]
    return status, "\n".join(server.lines)


def test_a_taken_port_is_named(small_artifact: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        status, log = failure(small_artifact, "--port", str(port))
    assert status == 1 and f"port {port}: Address already in use" in log


@pytest.mark.parametrize(
    ("arguments", "status", "culprit"),
    [
        (["no-such-folder"], 1, "no-such-folder: no such file or folder"),
        (["a", "b"], 2, "b"),
        (["x", "--port", "99999"], 2, "port"),
        (["x", "--device", "tpu"], 2, "device"),
        (["x", "--no-such-flag"], 2, "no-such-flag"),
    ],
)
def test_bad_arguments_are_one_sentence(arguments: list[str], status: int, culprit: str) -> None:
    found, log = failure(*arguments)
    assert found == status and culprit in log


def test_both_runtimes_installed_is_refused(small_artifact: Path, tmp_path: Path) -> None:
    info = tmp_path / "onnxruntime_gpu-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: onnxruntime-gpu\nVersion: 1.0\n")
    status, log = failure(small_artifact, env={"PYTHONPATH": str(tmp_path)})
    assert status == 1 and "onnxruntime and onnxruntime-gpu are both installed" in log
