"""Starts a server and shows a first score of it: python -m thimble.client.first_score URL COMMAND ARGUMENT…"""

import json
import os
import shlex
import sys
import time
from collections.abc import Sequence
from typing import Any

import httpx


def main(url: str, command: Sequence[str]) -> None:
    """Become the command, a server that will answer at a URL, beside a child that shows a score once it is ready.

    Ends with exit status 1 where something answers there already: that would be shown as if it were the new server.
    """
    if _answers(url):
        sys.exit(f"something answers at {url} already, perhaps a first start of this: stop it, or choose another port")
    parent = os.getpid()
    if os.fork():
        os.execvp(command[0], [*command])  # noqa: S606 - the command that the caller gave
    try:
        _show(url, parent)
    except httpx.HTTPStatusError as error:
        print(f"\nno first score: {error.request.url} answered {error.response.status_code}\n", flush=True)
    except (httpx.TransportError, httpx.InvalidURL, KeyboardInterrupt):
        pass  # the server has stopped, or could not start at such a place, and says so itself


def _show(url: str, parent: int) -> None:
    """Wait until the server is ready, score a row of it, and print the score and a line for curl that gives it."""
    with httpx.Client(base_url=url, timeout=10, trust_env=False) as client:
        while not _ready(client):
            if os.getppid() != parent:
                return  # the server could not start and has said why
            time.sleep(0.1)
        paths = client.get("/openapi.json").raise_for_status().json()["paths"]
        path = next((path for path in paths if path.endswith("/score")), None)
        if path is None:  # to those without a key nothing is said of models
            print(f"\nno first score: it asks for a key, which can be entered at {url}\n", flush=True)
            return
        operation = paths[path]["post"]
        example = operation["requestBody"]["content"]["application/json"]["example"]["features"]
        some = [*example.items()][:2] + [*example.items()][-2:]  # the others are missing then, as they may be
        body = json.dumps({"features": dict(some)})
        start = time.perf_counter()
        answer = client.post(path, content=body, headers={"Content-Type": "application/json"}).raise_for_status()
        took = (time.perf_counter() - start) * 1000
    print(
        f"\nfirst score: {_shown(answer.json()['scores'])} of a made-up row, after {took:.1f} ms\n"
        f"try it:      curl {url}{path} -H 'Content-Type: application/json' -d {shlex.quote(body)}\n"
        f"look at it:  {url}\n"
        "stop it:     Ctrl-C\n",
        flush=True,
    )


def _shown(scores: Any) -> str:
    if isinstance(scores, dict):
        return ", ".join(f"{name} {found[0]}" for name, found in scores.items()) + ", the probabilities"
    return f"{scores[0]}, the click probability"


def _answers(url: str) -> bool:
    try:
        httpx.get(url, timeout=1, trust_env=False)  # a proxy knows another 127.0.0.1
    except (httpx.ConnectError, httpx.InvalidURL):
        return False
    except httpx.TransportError:
        return True  # not in HTTP, or not in time
    return True


def _ready(client: httpx.Client) -> bool:
    try:
        return bool(client.get("/readyz").json() == {"status": "ready"})
    except (httpx.TransportError, ValueError):
        return False


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
