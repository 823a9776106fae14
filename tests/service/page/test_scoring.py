"""The page as people use it: what it shows, a row that is scored and changed, and the row copied."""

import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from testing.artifacts import write_artifact
from testing.browser import Page
from testing.samples import HEADS, small_spec
from testing.servers import Server, running
from tests.service.page.conftest import WICKED
from thimble.models.spec import answering

MINUS = "\N{MINUS SIGN}"
SCORED = "document.querySelector('.score-now').value"


def opened(tab: Page, server: Server) -> None:
    assert tab.opens(f"{server.url}/")
    tab.wait("document.querySelector('.facts') && document.querySelector('#row-form')")


def facts(tab: Page) -> dict[str, list[str]]:
    cells = "[...row.cells].slice(1).map(cell => cell.innerText)"
    rows = "[...document.querySelectorAll('.facts tr')]"
    found: dict[str, list[str]] = tab.run(f"Object.fromEntries({rows}.map(row => [row.cells[0].innerText, {cells}]))")
    return found


def to(tab: Page, wanted: str) -> None:
    """By keyboard alone: until what is wanted has the focus."""
    for _ in range(100):
        tab.press("Tab")
        if tab.run(f"document.activeElement.matches({wanted!r})"):
            return
    raise AssertionError(f"no Tab leads to {wanted}")


def shown(tab: Page) -> float:
    tab.wait(SCORED)
    return float(tab.run(SCORED))


def by_http(server: Server, features: dict[str, Any]) -> float:
    answer = httpx.post(f"{server.url}/v1/models/shop/score", json={"features": features})
    return float(answer.json()["scores"][0])


def test_it_shows_what_is_served_without_a_complaint_or_another_host(tab: Page, server: Server) -> None:
    opened(tab, server)
    tab.wait("document.querySelectorAll('.tile').length === 9")
    assert tab.run("document.querySelector('#state-text').textContent") == "ready"
    (described,) = httpx.get(f"{server.url}/v1/models").json()
    told = facts(tab)
    assert told["AUC (95 %)"] == ["0.7123 (0.7000 to 0.7200)"]
    assert told["Calibration: mean score over base rate (95 %)"] == ["1.010"]
    assert told["What the precision cost"] == [f"AUC {MINUS}0.0004, log loss +0.0002, on 5,000 rows"]
    assert told["Provider"] == [described["provider"].removesuffix("ExecutionProvider")]
    assert told["The same as full tables"] == [f"{described['full_table_bytes'] / 1000:.3g} kB"]
    assert "Version 1 answers." in tab.run("document.querySelector('#model-roles').textContent")
    assert "version 1 answers now" in tab.run("document.querySelector('.timeline').textContent")
    assert not tab.run("[...document.querySelectorAll('button')].some(it => it.textContent.startsWith('Make live'))")
    assert not tab.problems()
    assert {url.split("/", 3)[2] for url in tab.asked()} == {httpx.URL(server.url).netloc.decode()}


def test_a_row_is_scored_and_changed_by_keyboard_alone(tab: Page, server: Server) -> None:
    (described,) = httpx.get(f"{server.url}/v1/models").json()
    row = described["example"]
    opened(tab, server)
    to(tab, "#row-form .primary")
    tab.press("Enter")
    before = shown(tab)
    assert before == by_http(server, row)
    to(tab, "[name='row.d1']")
    tab.type("250")
    tab.press("Enter")
    tab.wait(f"{SCORED} != {before}")
    after = by_http(server, {**row, "d1": 250})
    assert shown(tab) == after != before
    moved = tab.run("document.querySelector('#row-moved').textContent")
    assert f"from {before}" in moved and "by version 1" in moved and "times the base rate" in moved
    assert tab.run("document.querySelector('#row-moved').getAttribute('aria-live')") == "polite"
    assert tab.run("document.querySelectorAll('.axis circle').length") == 2
    to(tab, "[name='row.f3']")  # a bag of hexadecimal tokens
    tab.type("xyz")
    tab.press("Enter")
    tab.wait("document.querySelector('.problem:not(:empty)')")
    problem = tab.run("document.querySelector('#row-form .problem').textContent")
    assert problem.startswith("f3: 'xyz'")
    assert tab.run("document.querySelector('[aria-invalid]').name") == "row.f3"
    tab.write("row.f3", "")
    tab.press("Enter")
    tab.wait("!document.querySelector('[aria-invalid]')")
    tab.wait(f"{SCORED} != {after}")
    assert shown(tab) == by_http(server, {**{name: it for name, it in row.items() if name != "f3"}, "d1": 250})


def copied(tab: Page, way: str) -> str:
    tab.click("#row-form button", f"Copy as {way}")
    tab.wait(f"document.querySelector('#row-form [role=status].muted').textContent.includes({way!r})")
    text: str = tab.run("document.querySelector('#row-copy').value")
    return text


def test_the_row_is_copied_as_what_gives_the_same_score(tab: Page, server: Server) -> None:
    opened(tab, server)
    tab.write("row.f0", """it's "one"|two\\n""")
    tab.write(f"row.{WICKED}", "3")
    tab.click("#row-form .primary")
    score = shown(tab)
    curl = shlex.split(copied(tab, "curl").replace("\\\n", ""))
    done = subprocess.run([*curl, "-s"], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["scores"] == [score]
    done = subprocess.run([sys.executable, "-c", copied(tab, "Python")], capture_output=True, text=True, check=True)
    assert float(done.stdout.strip().strip("[]")) == pytest.approx(score, abs=1e-6)
    headers = {"Content-Type": "text/tab-separated-values"}
    line = copied(tab, "TSV")
    assert httpx.post(f"{server.url}/v1/score", content=line, headers=headers).json()["scores"] == [score]
    assert tab.run("document.activeElement.id") == "row-copy" or "Copied" in tab.run(
        "document.querySelector('#row-form [role=status].muted').textContent"
    )


def test_what_no_line_can_hold_is_said(tab: Page, server: Server) -> None:
    opened(tab, server)
    tab.write("row.f1", "\\N")
    tab.click("#row-form button", "Copy as TSV")
    tab.wait("document.querySelector('#row-form .problem').textContent.startsWith('f1: in a line')")


def test_names_and_values_are_text_and_never_html(tab: Page, server: Server) -> None:
    opened(tab, server)
    tab.write("row.f0", WICKED)
    tab.write("row.f2", WICKED)
    tab.click("#row-form .primary")
    tab.wait("document.querySelector('.problem:not(:empty)')")
    assert tab.run("document.querySelectorAll('main img').length") == 0
    assert tab.run("[...document.querySelectorAll('label')].map(it => it.textContent)").count(WICKED) == 1
    refused = [text for text in tab.problems() if "status of 400" not in text]  # the browser's own word for a refusal
    assert not refused


def test_a_version_is_asked_by_its_number(tab: Page, server: Server) -> None:
    opened(tab, server)
    tab.write("row-version", "1")
    tab.click("#row-form .primary")
    shown(tab)
    assert f"{server.url}/v1/models/shop/versions/1/score" in tab.asked()
    assert "/versions/1/score" in copied(tab, "curl")


def test_of_several_answers_one_is_chosen(tab: Page, tmp_path: Path) -> None:
    write_artifact(answering(small_spec(), HEADS), tmp_path, "shop", 1)
    with running(tmp_path) as server:
        (described,) = httpx.get(f"{server.url}/v1/models").json()
        body = {"features": described["example"]}
        scores = httpx.post(f"{server.url}/v1/models/shop/score", json=body).json()["scores"]
        opened(tab, server)
        to(tab, "#row-form .primary")
        tab.press("Enter")
        assert shown(tab) == scores["click"][0]
        chosen = "document.querySelector('#row-answer')"
        tab.run(f"{chosen}.value = 'conversion'; {chosen}.dispatchEvent(new Event('change', {{bubbles: true}}))")
        tab.wait(f"{SCORED} != {scores['click'][0]}")
        assert shown(tab) == scores["conversion"][0]
        assert not tab.problems()
