"""What people need who do not see the page as others do: names, headings, contrast, room on a phone."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from testing.browser import Page
from testing.servers import Server
from tests.service.page.conftest import ADMIN, KEYS, serving

# WCAG 2.2, 1.4.3: large text is 24 px, or 18.66 px in bold.
CONTRASTS = """(() => {
  const channels = text => text.match(/[0-9.]+/g).map(Number)
  const luminance = ([r, g, b]) => [r, g, b].map(it => it / 255)
    .map(it => it <= 0.04045 ? it / 12.92 : ((it + 0.055) / 1.055) ** 2.4)
    .reduce((sum, it, nth) => sum + it * [0.2126, 0.7152, 0.0722][nth], 0)
  const behind = node => {
    for (let it = node; it; it = it.parentElement) {
      const color = channels(getComputedStyle(it).backgroundColor)
      if (color[3] === undefined || color[3] === 1) return color
      if (color[3] > 0) throw new Error("half seen through")
    }
    return channels(getComputedStyle(document.documentElement).backgroundColor)
  }
  const worst = {}
  for (const node of document.querySelectorAll("body *")) {
    const own = [...node.childNodes].some(it => it.nodeType === 3 && it.textContent.trim())
    const valued = ["INPUT", "TEXTAREA", "SELECT"].includes(node.tagName)
    if (!(own || valued) || !node.checkVisibility({visibilityProperty: true})) continue
    const style = getComputedStyle(node), size = parseFloat(style.fontSize)
    const color = channels(node.namespaceURI.endsWith("svg") ? style.fill : style.color)
    const [light, dark] = [luminance(color), luminance(behind(node))].sort((a, b) => b - a)
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700)
    const ratio = (light + 0.05) / (dark + 0.05)
    if (ratio < (large ? 3 : 4.5)) worst[`${node.tagName}.${node.className.baseVal ?? node.className}`] = ratio
  }
  return worst
})()"""
NAMED = "input, select, textarea, button, a, [role=region], [role=img], dialog[open]"
UNNAMED = f"""[...document.querySelectorAll("{NAMED}")]
  .filter(it => it.checkVisibility())
  .filter(it => ![...(it.labels ?? [])].some(label => label.textContent.trim()) && !it.getAttribute("aria-label")
    && !document.getElementById(it.getAttribute("aria-labelledby"))?.textContent.trim()
    && !(["BUTTON", "A"].includes(it.tagName) && it.textContent.trim()))
  .map(it => it.outerHTML.slice(0, 100))"""
HEADINGS = (
    "[...document.querySelectorAll('h1, h2, h3')].filter(it => it.checkVisibility()).map(it => Number(it.tagName[1]))"
)
TWICE = (
    "(ids => ids.filter((id, nth) => ids.indexOf(id) !== nth))([...document.querySelectorAll('[id]')].map(it => it.id))"
)
SIZES = {"desk": (1280, 900), "phone": (360, 740)}


def opened(tab: Page, server: Server, size: str, scheme: str) -> None:
    tab.look(*SIZES[size], scheme)
    assert tab.opens(f"{server.url}/")
    tab.wait("document.querySelector('.facts') && document.querySelector('#row-form')")


def check(tab: Page) -> None:
    assert tab.run(CONTRASTS) == {}
    assert tab.run(UNNAMED) == []
    assert tab.run(TWICE) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_everything_has_a_name_and_can_be_read(tab: Page, server: Server, size: str, scheme: str) -> None:
    opened(tab, server, size, scheme)
    tab.click("#row-form .primary")
    tab.wait("document.querySelector('.score-now').value")
    tab.click("#row-form button", "Copy as curl")
    tab.write("row.f2", "wrong")
    tab.press("Enter")
    tab.wait("document.querySelector('.problem:not(:empty)')")
    check(tab)
    dark = tab.run("getComputedStyle(document.documentElement).backgroundColor") != "rgb(246, 247, 249)"
    assert dark == (scheme == "dark")
    levels: list[int] = tab.run(HEADINGS)
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert tab.run("document.documentElement.lang") == "en" and tab.run("document.title")
    assert tab.run("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_dialogs_too(tab: Page, versions: Path, tmp_path: Path, scheme: str) -> None:
    with serving(versions, tmp_path, env=KEYS) as guarded:
        tab.look(*SIZES["phone"], scheme)
        assert tab.opens(f"{guarded.url}/")
        tab.wait("document.querySelector('#key-dialog').open")
        check(tab)
        tab.write("key", ADMIN)
        tab.press("Enter")
        tab.click(".stored button", "Canary")
        tab.wait("document.querySelector('#change-dialog').open")
        check(tab)
        assert tab.run("document.querySelector('#change-dialog').getBoundingClientRect().right <= innerWidth")
        for _ in range(12):  # the focus stays in it, or is the browser's own
            tab.press("Tab")
            assert tab.run("(it => it === document.body || !!it.closest('#change-dialog'))(document.activeElement)")


def focus_shows(tab: Page) -> Any:
    return tab.run("(it => [it.matches(':focus-visible'), getComputedStyle(it).outlineWidth])(document.activeElement)")


def test_the_focus_is_seen_and_the_first_is_a_way_past_the_rest(tab: Page, server: Server) -> None:
    opened(tab, server, "desk", "light")
    tab.press("Tab")
    assert tab.run("document.activeElement.className") == "skip"
    for _ in range(8):
        tab.press("Tab")
        assert focus_shows(tab) == [True, "3px"]
