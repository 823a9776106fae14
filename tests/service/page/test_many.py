"""200 models, one of which has 1,000 versions: what is asked for is stubbed, and the page is the real one."""

import json
from typing import Any

import httpx

from testing.browser import Page
from testing.servers import Server

MODELS, VERSIONS = 200, 1000


def answers(server: Server) -> dict[str, Any]:
    """By path, of what the server says of its one model."""
    (described,) = httpx.get(f"{server.url}/v1/models").json()
    activity = httpx.get(f"{server.url}/v1/activity").json()
    rates = {
        "requests": 1,
        "rows": 2,
        "refused": 0,
        "invalid": 0,
        "failed": 0,
        "median_ms": 1,
        "p99_ms": 2,
        "queued": 0,
    }
    names = [f"model-{number}" for number in range(MODELS)]
    history = {
        "times": [1e9 + 5 * at for at in range(120)],
        "rates": [rates] * 120,
        "memory_bytes": [1e9] * 120,
        "versions": [{"model": name, "version": "1", **rates} for name in names],
    }
    many = [{**described, "name": "model-0", "version": it, "part": "standby"} for it in range(2, VERSIONS)]
    one = httpx.get(f"{server.url}/v1/models/shop").json()
    release = {**one["release"], "standby": [*range(2, VERSIONS)]}
    return {
        "v1/activity": {**activity, "history": history},
        "v1/models": [*({**described, "name": name} for name in names), *many],
        "v1/models/model-0": {**one, "name": "model-0", "stored": [*range(1, 2 * VERSIONS)], "release": release},
    }


def test_many_models_and_versions_are_found_and_written_once(tab: Page, server: Server) -> None:
    stub = """const stubbed = %s, real = fetch
      window.rounds = 0
      window.fetch = async url => {
        const path = url.pathname.slice(1)
        if (path === "v1/activity") window.rounds += 1
        return path in stubbed ? new Response(JSON.stringify(stubbed[path])) : real(url)
      }"""
    tab.before(stub % json.dumps(answers(server)))
    assert tab.opens(f"{server.url}/")
    tab.wait("document.querySelector('.facts') && document.querySelectorAll('#models-table tbody tr').length")
    assert tab.run("document.querySelectorAll('#models-table tbody tr').length") == MODELS
    assert tab.run("document.querySelectorAll('.facts thead th').length") == 12
    assert tab.run("document.querySelectorAll('.stored li').length") == 20
    assert tab.run("document.querySelectorAll('*').length") < 10_000
    tab.write("filter", "model-19")
    tab.wait("document.querySelector('#filter-count').textContent === '11 of 200 models'")
    tab.click("#model button", "Show all 1,000")
    tab.wait("document.querySelectorAll('.stored li').length === 1000")
    tab.run("""window.written = 0, new MutationObserver(them => { window.written += them.length })
      .observe(document.querySelector("main"), {childList: true, characterData: true, subtree: true})""")
    rounds = tab.run("window.rounds")
    tab.wait(f"window.rounds > {rounds + 1}")
    rounds = tab.run("window.rounds") - rounds
    assert tab.run("window.written") <= 9 * rounds  # the tiles' lines alone, where nothing else has changed
    assert not tab.problems()
