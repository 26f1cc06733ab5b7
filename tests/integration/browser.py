# SPDX-License-Identifier: Apache-2.0
"""A headless Chromium that a test looks at a page with: the devtools protocol over a pair of pipes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

#: The names of everything that reaches beyond the right edge of the window, words in pictures too.
BEYOND = """[...document.querySelectorAll('body *')]
    .filter(e => e.getBoundingClientRect().right > innerWidth + 0.5)
    .map(e => `${e.tagName}: ${e.textContent.trim().slice(0, 40)}`)"""


class Browser:
    """One process for all pages, without a network; *profile* is a folder of its own."""

    def __init__(self, profile: Path) -> None:
        program = shutil.which("chromium")
        assert program, "chromium is missing: run make setup"
        told, self._tell = os.pipe()
        self._hear, says = os.pipe()
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"]
        options += [
            "--remote-debugging-pipe",
            f"--user-data-dir={profile}",
            "--no-first-run",
            "--host-rules=MAP * 0.0.0.0",
        ]
        # It reads commands from descriptor 3 and writes to 4, each message ended by a zero.
        shell = f'exec "$0" "$@" 3<&{told} 4>&{says}'
        with (profile / "log").open("wb") as log:
            self._process = subprocess.Popen(
                ["bash", "-c", shell, program, *options, "about:blank"],
                pass_fds=(told, says),
                stdout=log,
                stderr=log,
            )
        os.close(told)
        os.close(says)
        self._heard = b""
        self._asked = 0
        self._session = ""
        self.events: list[dict[str, Any]] = []

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Ask for *method* and return its result; what happens meanwhile is in `events`."""
        self._asked += 1
        asked: dict[str, Any] = {"id": self._asked, "method": method, "params": parameters}
        if self._session:
            asked["sessionId"] = self._session
        os.write(self._tell, json.dumps(asked).encode() + b"\0")
        while (message := self._next()).get("id") != self._asked:
            self.events.append(message)
        assert "error" not in message, message
        result: dict[str, Any] = message["result"]
        return result

    def open(self, path: Path, width: int, *, dark: bool) -> None:
        """Show the file in a new window *width* pixels wide; `events` are those of this page alone."""
        self._session = ""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.events.clear()
        self.call("Page.navigate", url=path.as_uri())
        while not self.said("Page.loadEventFired"):
            self.events.append(self._next())

    def said(self, *methods: str) -> list[dict[str, Any]]:
        """What the page was heard to say, of these kinds."""
        return [event["params"] for event in self.events if event.get("method") in methods]

    def evaluate(self, expression: str) -> Any:
        """The value of an expression in the page."""
        return self.call("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(timeout=10)
        os.close(self._tell)
        os.close(self._hear)

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._heard:
            read = os.read(self._hear, 1 << 20)
            assert read, "chromium has ended"
            self._heard += read
        text, self._heard = self._heard.split(b"\0", 1)
        message: dict[str, Any] = json.loads(text)
        return message
