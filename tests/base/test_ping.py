"""Whoever notices first that no answer comes, the socket or the one who waits, the words are the same."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from llamaagent.base.ping import ask, ping

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize("how", [ask, ping])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_no_answer_is_told_alike(how: Callable[[str, float], str | None], scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"{scheme}://127.0.0.1:{silent.getsockname()[1]}/secret"
        assert how(url, 0.3) == "no answer within 0.3 s"
