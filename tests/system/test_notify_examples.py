"""The example scripts do what docs/notify.md says, told by the agent itself."""

from __future__ import annotations

import os
import shutil
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

import pytest
from scratch_site import ROOT

if TYPE_CHECKING:
    from scratch_site import Site

FOLDER = os.path.join(ROOT, "examples", "notify")


def test_a_mail(fake_site: Site) -> None:
    """The mail program is a script here; the rest is as it is."""
    shutil.copy(os.path.join(FOLDER, "mail.sh"), fake_site.root)
    mailer = fake_site.root / "bin" / "sendmail"
    mailer.parent.mkdir()
    mailer.write_text(f'#!/bin/sh\n{{ echo "$@"; cat; }} > {fake_site.root}/mail\n')
    mailer.chmod(0o755)
    command = f"PATH={mailer.parent}:$PATH ./mail.sh ann@example.org"
    fake_site.settings(notify={"command": command})
    fake_site.profile("alpha", model="/nowhere/m.gguf")
    assert "notify" not in fake_site.once().err
    lines = (fake_site.root / "mail").read_text().splitlines()
    assert lines[:2] == ["-i -- ann@example.org", "To: ann@example.org"]
    assert lines[2].endswith("llamaagent: held alpha")
    assert any(line.startswith("alpha: held: model file missing (missing-model: ") for line in lines)


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl")
def test_a_message_by_ntfy(fake_site: Site) -> None:
    heard: list[tuple[str, dict[str, str], str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            heard.append((self.path, dict(self.headers.items()), body))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        shutil.copy(os.path.join(FOLDER, "ntfy.sh"), fake_site.root)
        (fake_site.root / "ntfy.conf").write_text(
            f"NTFY_URL=http://127.0.0.1:{server.server_port}/topic\nNTFY_TOKEN=tk_canary\n"
        )
        fake_site.settings(notify={"command": "./ntfy.sh"})
        fake_site.profile("alpha", model="/nowhere/m.gguf")
        assert "notify" not in fake_site.once().err
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    ((path, headers, body),) = heard
    assert (path, headers["Authorization"]) == ("/topic", "Bearer tk_canary")
    assert headers["Title"].endswith(": held alpha")
    assert body.startswith("alpha: held: model file missing")
