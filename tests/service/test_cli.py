import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from testing.servers import Server, running
from thimble.service.command_line import BadSettingsError, read


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
        (["x", "--port", "99999"], 2, "--port (THIMBLE_PORT) is '99999': it should be less than or equal to 65535"),
    ],
)
def test_bad_arguments_are_one_sentence(arguments: list[str], status: int, culprit: str) -> None:
    found, log = failure(*arguments)
    assert found == status and culprit in log and "\n" not in log


@pytest.mark.parametrize(
    ("arguments", "environment", "problems"),
    [
        (["--device", "tpu"], {}, ["--device (THIMBLE_DEVICE) is 'tpu': it should be 'auto', 'cpu' or 'cuda'"]),
        (["--port=80.5"], {}, ["--port (THIMBLE_PORT) is '80.5': it should be a valid integer"]),
        (["--poll-s", "5s"], {}, ["--poll-s (THIMBLE_POLL_S) is '5s': it should be a valid number"]),
        (["--timeout-ms", "nan"], {}, ["--timeout-ms (THIMBLE_TIMEOUT_MS) is 'nan': it should be a finite number"]),
        ([], {"thimble_drain_s": "inf"}, ["thimble_drain_s (--drain-s) is 'inf': it should be a finite number"]),
        ([], {"THIMBLE_DRAIN_S": "1e9"}, ["THIMBLE_DRAIN_S (--drain-s) is '1e9': it should be less than or equal to"]),
        (
            [],
            {"THIMBLE_ACCESS_LOG": "maybe"},
            ["THIMBLE_ACCESS_LOG (--access-log) is 'maybe': it should be true or false"],
        ),
        (
            [],
            {"THIMBLE_PORT": "tcp://10.0.0.1:8000"},
            [
                "THIMBLE_PORT (--port) is 'tcp://10.0.0.1:8000': it should be a valid integer; Kubernetes sets it for "
                "a Service named thimble, unless a Pod has enableServiceLinks: false"
            ],
        ),
        (
            ["--workers", "0", "--trusted-proxies", "::1,all"],
            {"THIMBLE_MAX_ROWS": "-1", "THIMBLE_WORKERS": "2"},
            [
                "--workers (THIMBLE_WORKERS) is '0': it should be greater than 0",
                "THIMBLE_MAX_ROWS (--max-rows) is '-1': it should be greater than 0",
                "--trusted-proxies (THIMBLE_TRUSTED_PROXIES) is '::1,all': 'all' is no address and no network",
            ],
        ),
        (
            ["--allow-origin", "http://10.0.0.1:8080", "--allow-origin", "https://shop.example/"],
            {"THIMBLE_ROOT_PATH": "thimble"},
            [
                "--allow-origin (THIMBLE_ALLOW_ORIGIN) is 'https://shop.example/': it should be * or an origin",
                "THIMBLE_ROOT_PATH (--root-path) is 'thimble': it should be a path such as /thimble",
            ],
        ),
        (
            ["--root-path", "/v2/shop"],
            {},
            ["--root-path (THIMBLE_ROOT_PATH) is '/v2/shop': paths of the server's own begin"],
        ),
        (["--max-row", "3"], {}, ["there is no --max-row; --max-rows is meant?"]),
        (["--verbose", "-p=8000"], {"THIMBLE_PORT": "x"}, ["there is no --verbose", "there is no -p"]),
        (
            ["--access-log=false"],
            {},
            ["--access-log takes no value, it was given 'false': it is --access-log or --no-"],
        ),
        (["--port"], {}, ["argument --port: expected one argument"]),
        (["other"], {}, ["'other' is too much: there is one repository, or one file"]),
        (["--max-rows", "9" * 5000], {}, ["--max-rows (THIMBLE_MAX_ROWS) is '999"]),
        (["--x" + "y" * 5000], {}, ["there is no --xyyy"]),
    ],
)
def test_all_bad_settings_are_told_by_variable_flag_and_value(
    arguments: list[str], environment: dict[str, str], problems: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(BadSettingsError) as caught:
        read(["x", *arguments])
    assert len(caught.value.problems) == len(problems)
    for problem, start in zip(sorted(caught.value.problems), sorted(problems), strict=True):
        assert problem.startswith(start) and len(problem) < 300 and problem.isprintable()


def test_lists_and_empty_values_are_read_from_flags_and_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THIMBLE_ALLOW_ORIGIN", "https://Shop.example:443, http://[::1]:8080,")
    monkeypatch.setenv("THIMBLE_ROOT_PATH", "/a/b/")
    monkeypatch.setenv("THIMBLE_PORT", "")
    settings = read([])
    assert settings.allow_origin == ("https://shop.example", "http://[::1]:8080")
    assert (settings.root_path, settings.port) == ("/a/b", 8000)
    settings = read(["--allow-origin", "*", "--allow-origin=https://a", "--root-path", "/", "--", "-x"])
    assert settings.allow_origin == ("*", "https://a")
    assert (settings.root_path, str(settings.repository)) == ("", "-x")


def test_what_others_set_changes_nothing_and_a_slip_is_told(small_artifact: Path, tmp_path: Path) -> None:
    others = {
        "PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "none"),
        "prometheus_multiproc_dir": str(tmp_path / "none"),
        "THIMBLE_SERVICE_HOST": "10.0.0.1",
        "THIMBLE_PORT_8000_TCP": "tcp://10.0.0.1:8000",
        "THIMBLE_DATA": "/data",
        "THIMBLE_API_KEY": "is-not-looked-at",
    }
    with running(small_artifact, env=others) as server:
        metrics = httpx.get(f"{server.url}/metrics").text
        told = [line for line in server.lines if "WARNING" in line]
    assert "process_cpu_seconds_total" in metrics and "thimble_live_version" in metrics
    assert len(told) == 1 and "THIMBLE_API_KEY is no setting and is not looked at; THIMBLE_API_KEYS is one" in told[0]


def test_both_runtimes_installed_is_refused(small_artifact: Path, tmp_path: Path) -> None:
    info = tmp_path / "onnxruntime_gpu-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: onnxruntime-gpu\nVersion: 1.0\n")
    status, log = failure(small_artifact, env={"PYTHONPATH": str(tmp_path)})
    assert status == 1 and "onnxruntime and onnxruntime-gpu are both installed" in log
