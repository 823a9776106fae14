"""Shows a first score of a server that its parent process is starting: python -m thimble.client.first_score URL."""

import json
import os
import shlex
import sys
import time

import httpx


def main(url: str) -> None:
    """Wait until the server is ready, send the example of its own documentation, print the score and a curl line."""
    parent = os.getppid()
    # it is on this machine, so whatever proxy the environment names has no part
    with httpx.Client(base_url=url, timeout=10, trust_env=False) as client:
        while not _ready(client):
            if os.getppid() != parent:
                return  # the server could not start and has said why
            time.sleep(0.1)
        operations = client.get("/openapi.json").raise_for_status().json()["paths"]
        path, operation = next((path, item["post"]) for path, item in operations.items() if path.endswith("/score"))
        example = operation["requestBody"]["content"]["application/json"]["example"]
        start = time.perf_counter()
        answer = client.post(path, json=example).raise_for_status().json()
        took = (time.perf_counter() - start) * 1000
    known = list(example["features"].items())
    short = {"features": dict([*known[:2], *known[-2:]])}
    print(
        f"\nfirst score: {answer['scores'][0]:.4f}, the click probability of a made-up row, after {took:.1f} ms\n"
        f"try it:      curl {url}{path} -H 'Content-Type: application/json' -d {shlex.quote(json.dumps(short))}\n"
        f"look at it:  {url}/docs\n"
        "stop it:     Ctrl-C\n",
        flush=True,
    )


def _ready(client: httpx.Client) -> bool:
    try:
        return bool(client.get("/readyz").json() == {"status": "ready"})
    except (httpx.TransportError, ValueError):
        return False


if __name__ == "__main__":
    main(sys.argv[1])
