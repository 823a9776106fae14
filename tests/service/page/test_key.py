"""The page of a server that asks for keys: nothing is told without one, and a wrong one is said."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from testing.browser import Page
from testing.servers import Server
from tests.service.page.conftest import ADMIN, API, KEYS, serving

DIALOG = "document.querySelector('#key-dialog').open"
PROBLEM = "document.querySelector('#key-problem').textContent"


@pytest.fixture(scope="module")
def guarded(versions: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """It is below a path, too."""
    with serving(versions, tmp_path_factory.mktemp("guarded"), "--root-path", "/thimble", env=KEYS) as server:
        yield server


@pytest.fixture(scope="module")
def for_changes(versions: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Everybody may score, and who has a key may change what is served."""
    env = {"THIMBLE_ADMIN_KEYS": ADMIN}
    with serving(versions, tmp_path_factory.mktemp("for_changes"), env=env) as server:
        yield server


def enter(tab: Page, key: str) -> None:
    tab.wait(DIALOG)
    tab.write("key", key)
    tab.press("Enter")


@pytest.mark.parametrize("path", ["/thimble/", "/thimble"])
def test_a_key_is_asked_for_and_a_wrong_one_is_said(tab: Page, guarded: Server, path: str) -> None:
    assert tab.opens(guarded.url + path)
    tab.wait(DIALOG)
    assert "shop" not in tab.run("document.body.innerText")
    assert tab.run("document.activeElement.id") == "key"
    enter(tab, "not-the-key-at-all")
    tab.wait(f"{PROBLEM}.includes('this key is not known')")
    assert tab.run(f"{DIALOG} && document.activeElement.getAttribute('aria-invalid')") == "true"
    enter(tab, "kéy")
    tab.wait(f"{PROBLEM}.includes('printable ASCII')")
    enter(tab, API)
    tab.wait("document.querySelector('.facts')")
    assert not tab.run(DIALOG)
    hint = tab.run("document.querySelector('#model .muted').textContent")
    assert hint.startswith("With an admin key")
    assert "by alice" not in tab.run("document.body.innerText")
    tab.click("#row-form .primary")
    tab.wait("document.querySelector('.score-now').value")
    tab.click("#row-form button", "Copy as curl")
    tab.wait("document.querySelector('#row-copy').value.includes('THIMBLE_KEY')")
    assert not [url for url in tab.asked() if API in url]
    assert API not in tab.run("document.documentElement.outerHTML + document.querySelector('#row-copy').value")
    assert not [text for text in tab.problems() if "status of 401" not in text]


def test_the_key_outlasts_a_reload_and_can_be_forgotten(tab: Page, guarded: Server) -> None:
    assert tab.opens(f"{guarded.url}/thimble/")
    enter(tab, API)
    tab.wait("document.querySelector('.facts')")
    assert tab.opens(f"{guarded.url}/thimble/?again")
    tab.wait("document.querySelector('.facts')")
    tab.click("#key-button")
    tab.click("#key-forget")
    tab.wait(f"{DIALOG} && document.querySelector('#model').hidden && document.querySelector('#now').hidden")
    assert tab.run("sessionStorage.length + localStorage.length + document.cookie.length") == 0
    tab.press("Escape")
    tab.wait(f"!{DIALOG}")
    assert "shop" not in tab.run("document.body.innerText")


def test_a_key_that_opens_nothing_is_said(tab: Page, for_changes: Server) -> None:
    assert tab.opens(f"{for_changes.url}/")
    tab.wait("document.querySelector('#key-button').checkVisibility()")
    tab.click("#key-button")
    enter(tab, "not-the-key-at-all")
    tab.wait(f"{PROBLEM}.startsWith('this is no admin key')")
    enter(tab, ADMIN)
    tab.wait(f"!{DIALOG}")
    tab.wait("[...document.querySelectorAll('button')].some(it => it.textContent.startsWith('Make live'))")
