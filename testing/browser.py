"""A page in a real browser without a screen, to type into, click and look at, by Chromium's DevTools protocol."""

import base64
import itertools
import json
import shutil
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

from testing.chromium import ANSWER_SECONDS, FLAGS, running
from testing.conditions import until

KEYS = {"Tab": (9, ""), "Enter": (13, "\r"), "Escape": (27, ""), "Space": (32, " ")}
"""By their codes: their numbers, and what they type."""
NARROW = 600  # pixels, of a phone
LARGEST_ANSWER = 1 << 26  # a picture of a page is larger than what is read otherwise


class Page:
    """One tab."""

    def __init__(self, socket: ClientConnection) -> None:
        """`events` are what the browser has told of it while it was asked something, by their names."""
        self.events: list[tuple[str, dict[str, Any]]] = []
        self._socket = socket
        self._numbers = itertools.count()
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._call(f"{domain}.enable")

    def opens(self, url: str) -> bool:
        """Whether there is a page. What it shows may come later: wait for it."""
        return "errorText" not in self._call("Page.navigate", url=url)

    def before(self, script: str) -> None:
        """Run this in each page that is opened from now on, before its own scripts."""
        self._call("Page.addScriptToEvaluateOnNewDocument", source=script)

    def run(self, script: str) -> Any:
        """The value of an expression, waited for if it is a promise. AssertionError: it threw."""
        found = self._call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait(self, condition: str) -> None:
        """Until the expression is true. While a page is being loaded it may also throw."""
        until(lambda: bool(self.run(f"(() => {{ try {{ return Boolean({condition}) }} catch {{ return false }} }})()")))

    def click(self, selector: str, text: str = "") -> None:
        """The first element that the selector finds and whose text begins so, once there is one."""
        found = f"[...document.querySelectorAll({selector!r})].find(it => it.textContent.startsWith({text!r}))"
        self.wait(found)
        self.run(f"{found}.click()")

    def write(self, name: str, text: str) -> None:
        """Into the field of a form, by keyboard, in place of what it holds; or choose that of a list."""
        field = f"document.querySelector('[name={json.dumps(name)}]')"
        if self.run(f"{field}.tagName") == "SELECT":
            event = "new Event('change', {bubbles: true})"
            self.run(f"(it => {{ it.value = {text!r}; it.dispatchEvent({event}) }})({field})")
            return
        self.run(f"(it => {{ it.focus(); it.select() }})({field})")
        if text:
            self._call("Input.insertText", text=text)
        else:
            for kind in ("keyDown", "keyUp"):
                self._call("Input.dispatchKeyEvent", type=kind, key="Backspace", windowsVirtualKeyCode=8)

    def press(self, key: str, times: int = 1) -> None:
        """A key of KEYS, as often as that, wherever the focus is."""
        code, text = KEYS[key]
        down = {"type": "keyDown", "text": text} if text else {"type": "rawKeyDown"}
        for _ in range(times):
            for kind in (down, {"type": "keyUp"}):
                self._call("Input.dispatchKeyEvent", key=text or key, code=key, windowsVirtualKeyCode=code, **kind)

    def type(self, text: str) -> None:
        """A text, wherever the focus is, in place of what is selected."""
        self._call("Input.insertText", text=text)

    def look(self, width: int = 1200, height: int = 900, scheme: str = "light") -> None:
        """Be a window of this size, of somebody who likes pages to be `light` or `dark`."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < NARROW}
        self._call("Emulation.setDeviceMetricsOverride", **size)
        self._call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def problems(self) -> list[str]:
        """What the console has complained of until now."""
        self.run("0")
        found = []
        for name, told in self.events:
            if name == "Runtime.exceptionThrown":
                found.append(str(told["exceptionDetails"]))
            elif name == "Log.entryAdded" and told["entry"]["level"] in ("error", "warning"):
                found.append(f"{told['entry']['text']} {told['entry'].get('url', '')}")
            elif name == "Runtime.consoleAPICalled" and told["type"] in ("error", "warning", "assert"):
                found.append(str(told["args"]))
        return found

    def asked(self) -> list[str]:
        """The URLs that were asked for until now."""
        self.run("0")
        return [told["request"]["url"] for name, told in self.events if name == "Network.requestWillBeSent"]

    def picture(self, path: Path) -> None:
        """As PNG, all of the page, for people to look at."""
        shot = self._call("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self._socket.recv(timeout=ANSWER_SECONDS))
            if "id" not in answer:
                self.events.append((answer["method"], answer["params"]))
            elif answer["id"] == number:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result


@contextmanager
def page(folder: Path) -> Iterator[Page]:
    """A browser that keeps what it has in an empty folder. Skips the test where there is none."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("neither Chromium nor Chrome is installed")
    flags = [*FLAGS, f"--user-data-dir={folder / 'profile'}", "--remote-debugging-port=0", "--window-size=1200,900"]
    port = folder / "profile" / "DevToolsActivePort"
    with running([chromium, *flags, "about:blank"], folder / "log"):
        until(lambda: port.exists() and len(port.read_text().splitlines()) > 1)
        address = f"http://127.0.0.1:{port.read_text().splitlines()[0]}/json/list"
        with urllib.request.urlopen(address) as tabs:
            url = next(tab["webSocketDebuggerUrl"] for tab in json.load(tabs) if tab["type"] == "page")
        with connect(url, max_size=LARGEST_ANSWER) as socket:
            yield Page(socket)
