"""A push, against a server of this machine that answers as the hub does, as far as a push goes."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from export_kit import run

from errorbook.cli.main import run_command

__all__ = ["run"]  # a fixture


class Hub(ThreadingHTTPServer):
    """The few answers of the hub that one push needs; it keeps what it was sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.created: list[tuple[str, str, bool]] = []
        self.files: dict[str, bytes] = {}
        self.tokens: set[str] = set()
        self.refuses = False

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Answers(BaseHTTPRequestHandler):
    server: Hub

    def do_POST(self) -> None:
        import base64

        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        self.server.tokens.add(self.headers["Authorization"] or "")
        if self.server.refuses:
            self._say({"error": "no rights"}, 403)
        elif self.path == "/api/repos/create":
            asked = json.loads(body)  # newer clients say "visibility", older ones "private"
            private = asked.get("visibility") == "private" or asked.get("private") is True
            self.server.created.append((asked["name"], asked.get("type", "model"), private))
            self._say({"url": f"{self.server.address}/kim/tiny"})
        elif "/preupload/" in self.path:
            asked = json.loads(body)["files"]
            self._say(
                {"files": [{"path": item["path"], "uploadMode": "regular", "shouldIgnore": False} for item in asked]}
            )
        elif "/commit/" in self.path:
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    self.server.files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            address = f"{self.server.address}/kim/tiny/commit/{'0' * 40}"
            self._say({"commitUrl": address, "commitOid": "0" * 40, "pullRequestUrl": None})
        else:
            self._say({"errors": [], "warnings": []})

    def do_GET(self) -> None:
        self._say({"id": "kim/tiny", "sha": "0" * 40, "siblings": []})

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def _say(self, value: dict[str, Any], status: int = 200) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    pytest.importorskip("huggingface_hub")
    with Hub() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setenv("HF_ENDPOINT", server.address)
        monkeypatch.setenv("HF_TOKEN", "hf_test")
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("arguments", "kind", "private"),
    [(["--what", "card"], None, True), (["--what", "samples", "--public"], "dataset", False)],
)
def test_a_push_sends_the_folder_in_private_unless_told_otherwise(
    run: Path, hub: Hub, capsys: pytest.CaptureFixture[str], arguments: list[str], kind: str | None, private: bool
) -> None:
    assert run_command(["export", str(run), *arguments, "--push", "kim/tiny"]) == 0

    out = run / "export" / arguments[1]
    place = "/datasets/kim/tiny" if kind else "/kim/tiny"
    assert capsys.readouterr().out.splitlines()[-1] == hub.address + place
    assert hub.tokens == {"Bearer hf_test"}
    assert hub.created == [("tiny", kind or "model", private)]
    assert hub.files == {path.name: path.read_bytes() for path in out.iterdir()}


def test_a_push_that_is_refused_says_so_and_keeps_the_export(
    run: Path, hub: Hub, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.refuses = True

    assert run_command(["export", str(run), "--what", "card", "--push", "kim/tiny"]) == 2

    assert "The hub did not take 'kim/tiny'" in capsys.readouterr().err
    assert (run / "export" / "card" / "README.md").exists()


def test_a_push_without_a_token_is_refused_before_anything_is_written(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("huggingface_hub")
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "none"))

    assert run_command(["export", str(run), "--what", "card", "--push", "kim/tiny"]) == 2

    assert "There is no token" in capsys.readouterr().err
    assert not (run / "export").exists()
