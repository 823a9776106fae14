"""Changes of what is served, made on the page: each says what comes of it and asks once more."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from testing.browser import Page
from testing.conditions import until
from testing.servers import Server
from tests.service.page.conftest import ADMIN, KEYS, serving

AUTHORIZED = {"Authorization": f"Bearer {ADMIN}"}
OPEN = "document.querySelector('#change-dialog').open"


@pytest.fixture
def guarded(versions: Path, tmp_path: Path) -> Iterator[Server]:
    with serving(versions, tmp_path, env=KEYS) as server:
        yield server


def release(server: Server) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{server.url}/v1/models/shop/release", headers=AUTHORIZED).json()
    return found


def enter(tab: Page, server: Server) -> None:
    assert tab.opens(f"{server.url}/")
    tab.wait("document.querySelector('#key-dialog').open")
    tab.write("key", ADMIN)
    tab.press("Enter")
    tab.wait("document.querySelector('.facts') && document.querySelector('.stored button')")


def press_for(tab: Page, version: int, text: str) -> None:
    """The button of a version that is stored, or loaded, whose text begins so."""
    stored = f"[...document.querySelectorAll('.stored li')].find(it => it.innerText.startsWith('Version {version} '))"
    heads = "[...document.querySelectorAll('.facts thead tr > *')]"
    column = f"{heads}.findIndex(it => it.innerText.startsWith('Version {version} '))"
    found = f"({stored} ?? document.querySelectorAll('.facts tbody tr:last-child > *')[{column}])"
    button = f"[...{found}.querySelectorAll('button')].find(it => it.textContent.startsWith({text!r}))"
    tab.wait(button)
    tab.run(f"{button}.focus(), {button}.click()")
    tab.wait(OPEN)


def said(tab: Page) -> str:
    text: str = tab.run("document.querySelector('#change-dialog').innerText")
    return text


def confirm(tab: Page) -> None:
    tab.click("#change-dialog button[type=submit]")
    tab.wait(f"!{OPEN}")


def test_a_canary_goes_live_and_is_rolled_back(tab: Page, guarded: Server) -> None:
    enter(tab, guarded)
    press_for(tab, 2, "Canary")
    assert tab.run("document.activeElement.name") == "change-percent"
    assert "Of the requests for shop that name no version, version 2 answers 5 % and version 1 the rest." in said(tab)
    assert "verified and loaded before" in said(tab)
    tab.write("change-percent", "0")
    tab.wait("document.querySelector('#change-dialog [type=submit]').disabled")
    tab.write("change-percent", "12.5")
    tab.wait("document.querySelector('#change-dialog').innerText.includes('12.5 %')")
    assert release(guarded)["canary"] is None  # nothing before it is asked for once more
    confirm(tab)
    tab.wait("document.querySelector('#model-told').textContent.includes('Version 2 is the canary.')")
    assert release(guarded)["canary"] == {"version": 2, "weight": 0.125}
    tab.wait("document.querySelector('.facts .badge.canary').textContent === 'canary, 12.5 %'")

    press_for(tab, 2, "Make live")
    assert tab.run("document.activeElement.textContent") == "Leave all as it is"
    assert "Version 1 answers them no more. It stays loaded" in said(tab)
    tab.press("Escape")
    tab.wait(f"!{OPEN}")
    assert tab.run("document.activeElement.textContent").startswith("Make live")
    assert release(guarded)["live"] == 1
    press_for(tab, 2, "Make live")
    confirm(tab)
    until(lambda: release(guarded)["live"] == 2)
    assert release(guarded)["canary"] is None
    tab.wait("document.querySelector('#model-roles').textContent.startsWith('Version 2 answers.')")

    tab.click("#model button", "Roll back")
    assert "Version 1, which was live before, answers all requests for shop" in said(tab)
    confirm(tab)
    until(lambda: release(guarded)["live"] == 1)
    tab.wait(
        "document.querySelector('.timeline').innerText.includes('version 1 answers now, version 2 before, by alice')"
    )
    assert not [text for text in tab.problems() if "status of 401" not in text]


def test_what_else_is_served_stays_and_what_ends_is_said(tab: Page, guarded: Server) -> None:
    wanted = {"live": 1, "canary": {"version": 2, "weight": 0.25}, "also": [3]}
    assert httpx.put(f"{guarded.url}/v1/models/shop/release", json=wanted, headers=AUTHORIZED, timeout=60).is_success
    assert tab.opens(f"{guarded.url}/")
    tab.wait("document.querySelector('#key-dialog').open")
    tab.write("key", ADMIN)
    tab.press("Enter")
    press_for(tab, 2, "Weight")
    assert tab.run("document.querySelector('[name=change-percent]').value") == "25"
    tab.write("change-percent", "50")
    confirm(tab)
    until(lambda: release(guarded)["canary"]["weight"] == 0.5)
    assert release(guarded)["also"] == [3]
    press_for(tab, 3, "Canary")
    assert "Version 2 is the canary no more." in said(tab)
    confirm(tab)
    until(lambda: release(guarded)["canary"] == {"version": 3, "weight": 0.05})
    press_for(tab, 3, "End canary")
    confirm(tab)
    until(lambda: release(guarded)["canary"] is None)
    assert release(guarded)["live"] == 1


def test_a_refusal_is_said_where_it_was_asked_for_and_then_of_the_version(tab: Page, guarded: Server) -> None:
    enter(tab, guarded)
    press_for(tab, 4, "Make live")
    tab.click("#change-dialog button[type=submit]")
    tab.wait("document.querySelector('#change-dialog .problem').textContent")
    reason = tab.run("document.querySelector('#change-dialog .problem').textContent")
    assert release(guarded)["live"] == 1
    tab.press("Escape")
    tab.wait("document.querySelector('.refused')")
    assert tab.run("document.querySelector('.refused').innerText").startswith("Version 4: ")
    assert release(guarded)["refused"]["4"] in reason
