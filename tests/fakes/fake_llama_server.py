"""A program that speaks llama-server's arguments, log, HTTP and exit codes, and misbehaves on demand.

For what the real server cannot be made to do when a test wants it. Unknown options are ignored.
FAKE_MODE holds words separated by commas:

  delay-ready:S     503 for S seconds, then healthy (also the option --delay-ready S)
  never-healthy     503 for ever            unhealthy-file:PATH  503 while that file exists
  exit-at-once:N    ends with status N      exit-after:S         is killed by its own SIGABRT after S seconds
  bad-option        an argument error       missing-model        a model that does not load
  oom               out of memory at load   no-listen            runs, but listens nowhere
  hang              accepts, never answers  ignore-sigterm       only SIGKILL ends it
  slow-term:S       takes S seconds to end  fork-grandchild      its child leaves the session
  busy:N            N requests in the gauge
  slow-load:S       reads for S seconds, 503 meanwhile, then healthy
  busy-file:PATH    as many as stand in that file, or with from:N in it one from the N-th /metrics on
  asleep            /props says that it sleeps    decoding         n_decode_total moves by itself
  broken-file:PATH  while that file exists no token comes: 500, or no answer at all if "hang" stands in it
  deaf-file:PATH    while that file exists /metrics is never answered
  one-slot          of one slot only

GET /spew/BYTES/LINE writes so many bytes into the log, in lines of LINE bytes (0: no line end at all).

FAKE_LAUNCHES names a file that gets a line (the pid) at each start, FAKE_HITS one that gets each request line.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import time

BEGIN = time.monotonic()
TIMINGS = """\
{i}prompt eval time =       1.18 ms /    30 tokens (    0.04 ms per token, 25380.71 tokens per second)
{i}       eval time =       1.46 ms /    20 tokens (    0.08 ms per token, 13004.79 tokens per second)
{i}      total time =       2.64 ms /    50 tokens
{r}stop processing: n_tokens = 49, truncated = 0"""


def log(level: str, text: str) -> None:
    micros = int((time.monotonic() - BEGIN) * 1e6)
    minutes, rest = divmod(micros, 60_000_000)
    seconds, rest = divmod(rest, 1_000_000)
    line = f"{minutes}.{seconds:02d}.{rest // 1000:03d}.{rest % 1000:03d} {level} {text}\n"
    os.write(2, line.encode())


def modes() -> dict[str, str]:
    found = {}
    for word in os.environ.get("FAKE_MODE", "").split(","):
        name, _, value = word.strip().partition(":")
        found[name] = value
    return found


def option(name: str, default: str) -> str:
    return sys.argv[sys.argv.index(name) + 1] if name in sys.argv else default


class Server:
    def __init__(self, mode: dict[str, str]) -> None:
        self.mode = mode
        self.host = option("--host", "127.0.0.1")
        self.port = int(option("--port", "8080"))
        self.model = option("--model", "none.gguf")
        self.key = os.environ.get("LLAMA_API_KEY")
        wait = mode.get("delay-ready") or mode.get("slow-load") or "0"
        self.ready_at = BEGIN + float(option("--delay-ready", wait))
        self.said_ready = False
        self.tasks = 0
        self.asked = 0

    def listen(self) -> socket.socket:
        listener = socket.socket(socket.AF_INET6 if ":" in self.host else socket.AF_INET)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((self.host, self.port))
        except OSError:
            log(
                "E", f"srv  start: couldn't bind HTTP server socket, hostname: {self.host}, port: {self.port}"
            )
            log("E", "srv  llama_server: exiting due to HTTP server error")
            sys.exit(1)
        listener.listen(64)
        self.port = listener.getsockname()[1]
        return listener

    def ready(self) -> bool:
        if "never-healthy" in self.mode or time.monotonic() < self.ready_at:
            return False
        if not self.said_ready:
            self.said_ready = True
            log("I", "srv  llama_server: model loaded")
            log("I", f"srv  llama_server: listening on http://{self.host}:{self.port}")
            signal.signal(signal.SIGTERM, self.end)  # like the real one, not before the model is there
        return not os.path.exists(self.mode.get("unhealthy-file") or "/nowhere")

    def end(self, *_: object) -> None:
        if "ignore-sigterm" in self.mode:
            return
        log("I", "srv    operator(): operator(): cleaning up before exit...")
        time.sleep(float(self.mode.get("slow-term") or 0))
        os._exit(0)

    def run(self) -> None:
        listener = None if "no-listen" in self.mode else self.listen()
        held = []
        while True:
            if "exit-after" in self.mode and time.monotonic() > BEGIN + float(self.mode["exit-after"]):
                os.abort()
            if not self.ready() and "slow-load" in self.mode:
                read_on()
            if listener is None:
                time.sleep(0.02)
                continue
            listener.settimeout(0.02)
            try:
                client, _ = listener.accept()
            except TimeoutError:
                continue
            if "hang" in self.mode:
                held.append(client)
                continue
            if not self.answer(client):
                held.append(client)
                continue
            client.close()

    def answer(self, client: socket.socket) -> bool:
        """False: the client is to wait for ever."""
        client.settimeout(2)
        try:
            data = b""
            while b"\r\n\r\n" not in data:
                more = client.recv(65536)
                if not more:
                    return True
                data += more
            head, _, body = data.partition(b"\r\n\r\n")
            lines = head.decode("latin-1").split("\r\n")
            headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in lines[1:])}
            while len(body) < int(headers.get("content-length", 0)):
                body += client.recv(65536)
            self.note(lines[0])
            path = lines[0].split()[1].partition("?")[0]
            if self.deaf(path):
                return False
            status, text = self.respond(path, headers)
            kind = "text/plain" if text.startswith("#") else "application/json"
            reply = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(text.encode())}\r\n"
            client.sendall((reply + "Connection: close\r\n\r\n" + text).encode())
        except OSError:
            pass
        return True

    def deaf(self, path: str) -> bool:
        """Whether the main loop would have to answer this, and hangs."""
        if path == "/metrics":
            return os.path.exists(self.mode.get("deaf-file") or "/nowhere")
        return path == "/completion" and self.broken() == "hang"

    def broken(self) -> str | None:
        path = self.mode.get("broken-file")
        if not path or not os.path.exists(path):
            return None
        with open(path, encoding="ascii") as file:
            return file.read().strip() or "500"

    def props(self) -> str:
        slots = 1 if "one-slot" in self.mode else 4
        asleep = "true" if "asleep" in self.mode else "false"
        return f'{{"model_path":"{self.model}","total_slots":{slots},"is_sleeping":{asleep}}}'

    def note(self, line: str) -> None:
        path = os.environ.get("FAKE_HITS")
        if path:
            append(path, line)

    def respond(self, path: str, headers: dict[str, str]) -> tuple[str, str]:
        if not self.ready():
            text = '{"error":{"message":"Loading model","type":"unavailable_error","code":503}}'
            return "503 Service Unavailable", text
        if path in {"/health", "/v1/health"}:
            return "200 OK", '{"status":"ok"}'
        if self.key and headers.get("authorization") != f"Bearer {self.key}":
            return "401 Unauthorized", '{"error":{"message":"Invalid API Key","code":401}}'
        if path == "/completion" and self.broken():
            log("E", "CUDA error: out of memory")
            return "500 Internal Server Error", '{"error":{"message":"Compute error.","code":500}}'
        answers = {
            "/metrics": self.metrics,
            "/completion": self.complete,
            "/props": self.props,
            "/slots": lambda: '[{"id":0,"n_ctx":512,"is_processing":false}]',
            "/v1/models": lambda: f'{{"object":"list","data":[{{"id":"{self.model}"}}]}}',
        }
        if path in answers:
            return "200 OK", answers[path]()
        if path.startswith("/spew/"):
            spew(*map(int, path.split("/")[2:]))
            return "200 OK", "{}"
        return "404 Not Found", '{"error":{"message":"File Not Found","code":404}}'

    def metrics(self) -> str:
        self.asked += 1
        values = {
            "prompt_tokens_total": 30 * self.tasks,
            "prompt_seconds_total": 0.00118 * self.tasks,
            "tokens_predicted_total": 20 * self.tasks,
            "tokens_predicted_seconds_total": 0.00146 * self.tasks,
            "n_decode_total": 20 * self.tasks + ("decoding" in self.mode) * int(time.monotonic() * 50),
            "requests_processing": self.busy(),
            "requests_deferred": 0,
        }
        return "".join(f"# HELP llamacpp:{k} fake\nllamacpp:{k} {v}\n" for k, v in values.items())

    def busy(self) -> int:
        path = self.mode.get("busy-file")
        if path and os.path.exists(path):
            with open(path, encoding="ascii") as file:
                text = file.read()
            if text.startswith("from:"):
                return int(self.asked >= int(text[5:]))
            return int(text or 0)
        return int(self.mode.get("busy") or 0)

    def complete(self) -> str:
        task, self.tasks = self.tasks, self.tasks + 1
        log("I", f"slot launch_slot_: id  0 | task {task} | processing task, is_child = 0")
        prefixes = {
            "i": f"slot print_timing: id  0 | task {task} | ",
            "r": f"slot      release: id  0 | task {task} | ",
        }
        for line in TIMINGS.splitlines():
            log("I", line.format(**prefixes))
        slot = '"id_slot":0'
        timings = (
            '"timings":{"cache_n":0,"prompt_n":30,"prompt_ms":1.18,"predicted_n":20,"predicted_ms":1.46}'
        )
        return f'{{"content":"fake","stop":true,{slot},{timings}}}'


def spew(size: int, line: int) -> None:
    """Numbered lines, so that a gap can be told; in pieces, as a log is written."""
    number = 0
    size -= size % line if line else 0
    while size > 0:
        if line:
            text = b"".join(b"spew %-*d\n" % (line - 6, number + i) for i in range(max(1, 65536 // line)))
            number += max(1, 65536 // line)
        else:
            text = b"x" * 65536
        text = text[:size]
        size -= os.write(2, text)


def read_on() -> None:
    """A few MiB of reading, as a load does."""
    with open("/dev/zero", "rb", buffering=0) as file:
        file.read(4 << 20)


def append(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(fd, f"{text}\n".encode())
    os.close(fd)


def refuse(mode: dict[str, str]) -> None:
    """Those that never get as far as listening."""
    if "exit-at-once" in mode:
        sys.exit(int(mode["exit-at-once"] or 1))
    if "missing-model" in mode:
        model = option("--model", "")
        log("E", f"gguf_init_from_file: failed to open GGUF file '{model}' (No such file or directory)")
        log("E", f"srv    load_model: failed to load model, '{model}'")
        log("E", "srv  llama_server: exiting due to model loading error")
        sys.exit(1)
    if "oom" in mode:
        log("E", "alloc_buffer: allocating 9216.00 MiB on device 0: cudaMalloc failed: out of memory")
        log("E", "srv  llama_server: exiting due to model loading error")
        sys.exit(1)


def print_help() -> None:
    """The real server's options, in the form in which it prints them."""
    import json

    facts = os.path.join(
        os.path.dirname(os.path.abspath(__file__)), "..", "fixtures", "llama_server_flags.json"
    )
    with open(facts, encoding="utf-8") as file:
        for one in json.load(file):
            word = "" if one["value"] == "none" else " VALUE" * one["n_values"]
            removed = "  the argument has been removed" if one["removed"] else ""
            print(", ".join([*one["names"], *one["negations"]]) + word + removed)


def main() -> None:
    mode = modes()
    if "--help" in sys.argv:
        print_help()
        return
    if os.environ.get("FAKE_LAUNCHES"):
        append(os.environ["FAKE_LAUNCHES"], str(os.getpid()))
    if "--version" in sys.argv:
        print("fake llama-server")
        return
    if "bad-option" in mode:
        os.write(2, b"error: invalid argument: --no-such-option\n")
        sys.exit(1)
    log("I", "srv  llama_server: initializing ...")
    refuse(mode)
    log("I", f"srv    load_model: loading model '{option('--model', '')}'")
    if "ignore-sigterm" in mode:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if "fork-grandchild" in mode and os.fork() == 0:
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        while True:
            time.sleep(60)
    Server(mode).run()


if __name__ == "__main__":
    main()
