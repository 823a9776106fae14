"""Shows a first score of a server that its parent process is starting: python -m thimble.service.first_score URL."""

import json
import os
import shlex
import sys
import time
import urllib.error
import urllib.request
from typing import Any


def main(url: str) -> None:
    """Wait until the server is ready, send the example of its own documentation, print the score and a curl line."""
    parent = os.getppid()
    while not _ready(url):
        if os.getppid() != parent:
            return  # the server could not start and has said why
        time.sleep(0.1)
    operations = _get(f"{url}/openapi.json")["paths"]
    path, operation = next((path, item["post"]) for path, item in operations.items() if path.endswith("/score"))
    example = operation["requestBody"]["content"]["application/json"]["example"]
    start = time.perf_counter()
    answer = _post(url + path, example)
    took = (time.perf_counter() - start) * 1000
    known = {name: value for name, value in example["features"].items() if value is not None}
    short = {"features": dict([*list(known.items())[:2], *list(known.items())[-2:]])}
    print(
        f"\nfirst score: {answer['scores'][0]:.4f}, the click probability of a golden row, after {took:.1f} ms\n"
        f"try it:      curl {url}{path} -H 'Content-Type: application/json' -d {shlex.quote(json.dumps(short))}\n"
        f"look at it:  {url}/docs\n"
        "stop it:     Ctrl-C\n",
        flush=True,
    )


def _ready(url: str) -> bool:
    try:
        return bool(_get(f"{url}/readyz") == {"status": "ready"})
    except (urllib.error.URLError, ConnectionError, ValueError):
        return False


def _get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=10) as response:  # noqa: S310 - the URL is the caller's own server
        return json.load(response)


def _post(url: str, body: object) -> Any:
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)  # noqa: S310 - as above
    with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310
        return json.load(response)


if __name__ == "__main__":
    main(sys.argv[1])
