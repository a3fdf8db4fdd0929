"""A headless Chromium, driven over its DevTools protocol by a pipe: no driver and no package besides the browser."""

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.waiting import until

NAMES = ("chromium", "chromium-browser", "google-chrome")


def executable() -> str:
    """The browser; skips where there is none, fails in CI."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("no headless browser, and CI must not skip its tests: apt-get install chromium")
        pytest.skip("no headless browser here: apt-get install chromium")
    return found


class Browser:
    """One page in a browser. `events` are all that it told, in order."""

    def __init__(self, commands: int, answers: int) -> None:
        self._commands, self._answers = commands, answers
        self._rest = b""
        self._number = 0
        self.events: list[dict[str, Any]] = []
        target = self._send("Target.createTarget", {"url": "about:blank"})["targetId"]
        self._session = self._send("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self(f"{domain}.enable")

    def __call__(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command to the page and wait for its answer."""
        return self._send(method, parameters, self._session)

    def open(self, file: Path) -> None:
        """Open a file and wait until it is loaded."""
        loaded = len(self.told("Page.loadEventFired"))
        self("Page.navigate", url=file.as_uri())
        while len(self.told("Page.loadEventFired")) == loaded:
            self._receive()

    def view(self, width: int, *, height: int = 900, dark: bool = False) -> None:
        """As on a screen of this size in pixels."""
        self("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 700)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self("Emulation.setEmulatedMedia", features=[scheme])

    def evaluate(self, expression: str) -> Any:
        """The value of an expression, as JSON knows it."""
        answer = self("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def screenshot(self, file: Path) -> None:
        """What is seen now, as PNG."""
        file.write_bytes(base64.b64decode(self("Page.captureScreenshot")["data"]))

    def told(self, *methods: str) -> list[dict[str, Any]]:
        """The parameters of all events of these kinds."""
        return [event["params"] for event in self.events if event["method"] in methods]

    def _send(self, method: str, parameters: dict[str, Any], session: str | None = None) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        encoded = json.dumps(message | ({"sessionId": session} if session else {})).encode() + b"\0"
        while encoded:
            encoded = encoded[os.write(self._commands, encoded) :]
        while True:
            answer = self._receive()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            chunk = os.read(self._answers, 1 << 16)
            assert chunk, "the browser ended"
            self._rest += chunk
        line, _, self._rest = self._rest.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        if "method" in message:
            self.events.append(message)
        return message


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """A browser with an empty profile in `profile`, ended on the way out."""
    command_end, commands = os.pipe()
    answers, answer_end = os.pipe()
    # The protocol's pipe is on descriptors 3 and 4. As root there is no sandbox to be had.
    flags = "--headless --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run --remote-debugging-pipe"
    script = f'exec "$0" {flags} "--user-data-dir=$1" 3<&{command_end} 4>&{answer_end}'
    process = subprocess.Popen(
        ["bash", "-c", script, executable(), str(profile)],
        pass_fds=(command_end, answer_end),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(command_end)
    os.close(answer_end)
    try:
        yield Browser(commands, answers)
    finally:
        process.terminate()
        until(lambda: process.poll() is not None, "the browser has ended")
        os.close(commands)
        os.close(answers)
