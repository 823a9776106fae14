"""deploy/rollout.sh, before a docker that only says what was asked of it."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from testing.conditions import until
from tests.deploy.manifests import ROOT

OLD, NEW = ("a" * 64, "b" * 64), "c" * 64
# Compose starts `new` beside the old ones, unless $BROKEN says that it ends at once, or $HANGS that it takes for ever.
DOCKER = """#!/bin/sh
echo "$*" >> calls
case "$*" in
    "compose ps --quiet thimble") cat replicas ;;
    "compose ps --all --quiet thimble") cat replicas; test ! -f new || cat new ;;
    "compose config --images thimble") echo thimble:cpu; echo thimble:cpu ;;
    "image inspect --format {{.Id}} thimble:cpu") test -z "$MISSING" && echo sha256:2222222222222222 ;;
    "inspect --format {{.Image}}"*) echo sha256:1111111111111111 ;;
    "compose up"*) echo NEW > new; test -z "$HANGS" || exec sleep 60; test -z "$BROKEN" ;;
    "logs"*) echo "thimble-serve: /models: no such folder" >&2 ;;
esac
""".replace("NEW", NEW)


def rollout(folder: Path, replicas: tuple[str, ...] = OLD, **problem: str) -> subprocess.Popen[str]:
    (folder / "docker").write_text(DOCKER)
    (folder / "docker").chmod(0o755)
    (folder / "replicas").write_text("".join(f"{replica}\n" for replica in replicas))
    env = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"} | problem
    script = ROOT / "deploy" / "rollout.sh"
    return subprocess.Popen([script], cwd=folder, env=env, text=True, stderr=subprocess.PIPE, start_new_session=True)


def changes(folder: Path) -> list[str]:
    calls = (folder / "calls").read_text().splitlines()
    return [call.partition(" --detach")[0] for call in calls if not call.startswith(("compose ps", "compose config"))]


def test_it_says_what_it_does_from_which_image_to_which(tmp_path: Path) -> None:
    process = rollout(tmp_path)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 0
    assert said.splitlines() == [
        "rollout: 2 replicas, each to be replaced by one of image 222222222222 (thimble:cpu)",
        *(
            line
            for number, old in enumerate(OLD, 1)
            for line in (
                f"rollout: {number} of 2: {old[:12]} is of image 111111111111; starting one of 222222222222 beside it",
                f"rollout: {number} of 2: the new one is healthy; {old[:12]} answers what it has accepted, and ends",
            )
        ),
        "rollout: done: 2 of 2 replicas are of image 222222222222",
    ]
    assert [call for call in changes(tmp_path) if call.startswith(("stop", "rm"))] == [
        f"{verb} {old}" for old in OLD for verb in ("stop", "rm")
    ]


def test_a_new_replica_that_does_not_start_is_taken_away_and_says_why(tmp_path: Path) -> None:
    process = rollout(tmp_path, BROKEN="yes")
    _, said = process.communicate(timeout=30)
    assert process.returncode == 1
    assert said.splitlines()[2:] == [
        f"rollout: taking the new one away, {NEW[:12]}; it said at its end:",
        "thimble-serve: /models: no such folder",
        "rollout: the new one did not become healthy",
        "rollout: stopped after 0 of 2; all that run go on to answer",
    ]
    assert changes(tmp_path)[-1] == f"rm --force {NEW}"
    assert not any(call.startswith("stop") for call in changes(tmp_path))


@pytest.mark.parametrize(
    ("replicas", "problem", "reason"),
    [
        ((), {}, "rollout: no replica runs, so there is none to replace: docker compose up\n"),
        (OLD, {"MISSING": "yes"}, "rollout: there is no image thimble:cpu: docker compose build\n"),
    ],
)
def test_it_does_not_begin_what_it_cannot_end(
    tmp_path: Path, replicas: tuple[str, ...], problem: dict[str, str], reason: str
) -> None:
    process = rollout(tmp_path, replicas, **problem)
    _, said = process.communicate(timeout=30)
    assert said == reason
    assert process.returncode == 1
    assert not any(call.startswith(("compose up", "stop", "rm")) for call in changes(tmp_path))


def test_stopped_it_says_how_far_it_came(tmp_path: Path) -> None:
    process = rollout(tmp_path, HANGS="yes")
    until((tmp_path / "new").exists)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 1
    assert said.splitlines()[-2:] == [
        "rollout: a signal ended it",
        "rollout: stopped after 0 of 2; all that run go on to answer",
    ]
    assert changes(tmp_path)[-1] == f"rm --force {NEW}"
