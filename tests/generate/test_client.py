"""A server's refusals, silence and broken streams, by a real HTTP server that misbehaves as told."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from llamaagent.base.clock import SystemClock
from llamaagent.base.errors import BadInputError, ConfigError, LlamaAgentError, ServiceUnavailableError
from llamaagent.generate.answer import choices_from, choices_json
from llamaagent.generate.ask import Ask, Image
from llamaagent.generate.asking import ask_server
from llamaagent.generate.client import Address

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Act = Callable[[BaseHTTPRequestHandler], None]


@contextmanager
def server(act: Act) -> Iterator[tuple[Address, list[dict[str, Any]]]]:
    """A server that does this with each POST; gives its address and what it was asked."""
    asked: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            asked[-1]["_path"], asked[-1]["_key"] = self.path, self.headers.get("Authorization")
            act(self)

        def do_GET(self) -> None:
            send(self, 200, {"media_marker": "<mark>"})

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield Address("127.0.0.1", made.server_address[1], api_key="k3y"), asked
    finally:
        made.shutdown()
        made.server_close()
        thread.join()


def send(handler: BaseHTTPRequestHandler, status: int, answer: object) -> None:
    data = json.dumps(answer).encode() if not isinstance(answer, bytes) else answer
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(data)))
    handler.end_headers()
    handler.wfile.write(data)


def stream(*events: object, end: str = "data: [DONE]\n\n") -> Act:
    text = "".join(f"data: {json.dumps(event)}\n\n" for event in events) + end
    return lambda handler: send(handler, 200, f": a comment\n\n{text}".encode())


def error(status: int, message: str, **more: object) -> Act:
    return lambda handler: send(handler, status, {"error": {"code": status, "message": message, **more}})


def asked(address: Address, ask: Ask | None = None, limit: int | None = None, timeout_s: float = 10.0) -> Any:
    return ask_server(
        ask or Ask("p"), address, model="m", limit=limit, clock=SystemClock(), timeout_s=timeout_s
    )


@pytest.mark.parametrize(
    ("act", "kind", "told"),
    [
        (error(400, "bad thing"), BadInputError, "does not take the request: bad thing"),
        (error(401, "Invalid API Key"), ConfigError, "another API key"),
        (error(503, "Loading model"), ServiceUnavailableError, "still loads its model"),
        (error(501, "not with --embeddings"), BadInputError, "does not offer that"),
        (error(500, "out of luck"), ServiceUnavailableError, r"failed \(500\): out of luck"),
        (lambda h: send(h, 502, b"<html>proxy</html>"), ServiceUnavailableError, "502"),
        (stream({"error": {"code": 400, "message": "too late"}}), BadInputError, "too late"),
        (stream({"content": "a", "stop": False}), ServiceUnavailableError, "broke off"),
        (lambda h: send(h, 200, b"data: {oops\n\n"), ServiceUnavailableError, "127.0.0.1"),
        (lambda h: h.connection.close(), ServiceUnavailableError, "127.0.0.1"),
    ],
)
def test_refusals_in_plain_words(act: Act, kind: type[LlamaAgentError], told: str) -> None:
    with server(act) as (address, _), pytest.raises(kind, match=told):
        asked(address)


def test_a_context_that_is_too_small_is_explained_by_its_figures() -> None:
    with (
        server(error(400, "exceeds", n_prompt_tokens=900, n_ctx=512)) as (address, _),
        pytest.raises(BadInputError) as caught,
    ):
        asked(address)
    assert "900 tokens" in str(caught.value.hint)


def test_a_server_that_says_nothing_is_waited_for_no_longer_than_told() -> None:
    gone = threading.Event()
    with server(lambda _: gone.wait(20) and None) as (address, _):
        try:
            with pytest.raises(ServiceUnavailableError, match=r"no answer within 0\.3 s"):
                asked(address, timeout_s=0.3)
        finally:
            gone.set()


def test_a_stream_that_drips_ends_with_the_time_too() -> None:
    """Each piece comes in time, all of them together do not."""
    gone = threading.Event()

    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        while not gone.wait(0.05):
            try:
                handler.wfile.write(b'data: {"content": "x", "stop": false}\n\n')
                handler.wfile.flush()
            except OSError:
                return

    with server(drip) as (address, _):
        try:
            with pytest.raises(ServiceUnavailableError, match="no answer within"):
                asked(address, timeout_s=0.5)
        finally:
            gone.set()


def test_nobody_there_is_unavailable(free_port: int) -> None:
    with pytest.raises(ServiceUnavailableError, match="refused"):
        asked(Address("127.0.0.1", free_port))


def final(**more: object) -> dict[str, object]:
    timings = {"cache_n": 1, "prompt_n": 2, "prompt_ms": 3.0, "predicted_n": 4, "predicted_ms": 5.0}
    return {"content": "", "stop": True, "timings": timings, "truncated": False, "id_slot": 0, **more}


@pytest.mark.parametrize(
    ("event", "limit", "reason"),
    [
        (final(stop_type="eos"), None, "stop"),
        (final(stop_type="word"), 9, "stop"),
        (final(stop_type="limit"), 4, "length"),
        (final(stop_type="limit"), None, "cut"),
        (final(stop_type="limit"), 9, "cut"),
        (final(stop_type="limit", truncated=True), 4, "cut"),
    ],
)
def test_why_a_text_ended(event: dict[str, object], limit: int | None, reason: str) -> None:
    with server(stream({"content": "ab", "stop": False}, event)) as (address, _):
        answer = asked(address, limit=limit)

    assert (answer.text, answer.finish_reason) == ("ab", reason)
    assert answer.choices[0].whole == (reason != "cut")
    assert answer.usage == {
        "prompt_tokens": 2,
        "cached_tokens": 1,
        "generated_tokens": 4,
        "total_tokens": 7,
    }
    assert choices_from(choices_json(answer.choices)) == answer.choices


def test_a_conversation_with_thoughts_and_two_answers() -> None:
    def piece(index: int, **delta: str) -> dict[str, object]:
        return {"choices": [{"index": index, "delta": delta, "finish_reason": None}]}

    def end(index: int) -> dict[str, object]:
        return {
            "choices": [{"index": index, "delta": {}, "finish_reason": "stop"}],
            "timings": {"prompt_n": 1},
        }

    events = (piece(0, reasoning_content="hm"), piece(1, content="b"), piece(0, content="a"), end(1), end(0))
    messages = ({"role": "user", "content": "q"},)
    with server(stream(*events)) as (address, told):
        answer = asked(address, Ask("", messages, {"n_predict": 5, "temperature": 0.5}, n=2))

    assert answer.texts == ("a", "b")
    assert answer.choices[0].reasoning == "hm"
    assert told[0]["_path"] == "/v1/chat/completions"
    assert told[0]["_key"] == "Bearer k3y"
    assert (told[0]["max_tokens"], told[0]["n"], told[0]["messages"]) == (5, 2, list(messages))
    assert "k3y" not in repr(address)


def test_images_go_where_each_endpoint_wants_them() -> None:
    image = Image(b"abc", "image/png")
    with server(stream(final(stop_type="eos"))) as (address, told):
        asked(address, Ask("what is it?", None, {}, (image,)))
    assert told[0]["prompt"] == {"prompt_string": "<mark>\nwhat is it?", "multimodal_data": ["YWJj"]}

    end = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    with server(stream(end)) as (address, told):
        asked(address, Ask("", ({"role": "user", "content": "what?"},), {}, (image,)))
    parts = told[0]["messages"][0]["content"]
    assert parts[0]["image_url"]["url"] == "data:image/png;base64,YWJj"
    assert parts[1]["text"] == "what?"
