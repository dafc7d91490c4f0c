"""Munin's five minutes, as the yardstick of bench_report.py: Debian's packages, unpacked, not installed.

They lie in .cache/munin. A node is served from here that runs Munin's own plugins for each question, as munin-node
does (without the process that munin-node forks for it). The archives (RRD) hold two days of a noisy load. What is
measured is CPU time of whole processes, started as cron starts them.
"""

from __future__ import annotations

import math
import os
import resource
import shutil
import socketserver
import subprocess
import sys
import threading
import time
from pathlib import Path

PACKAGES = [
    "munin",
    "munin-common",
    "munin-plugins-core",
    "rrdtool",
    "librrd8",
    "librrds-perl",
    "libdbi1",
    "libcgi-pm-perl",
    "libdate-manip-perl",
    "libexporter-tiny-perl",
    "libfile-copy-recursive-perl",
    "libhtml-template-perl",
    "libio-socket-inet6-perl",
    "liblist-moreutils-perl",
    "liblist-moreutils-xs-perl",
    "liblog-log4perl-perl",
    "libsocket6-perl",
    "liburi-perl",
    "libtimedate-perl",
]
PLUGINS = [
    "cpu",
    "df",
    "df_inode",
    "diskstats",
    "entropy",
    "forks",
    "interrupts",
    "irqstats",
    "load",
    "memory",
    "netstat",
    "open_files",
    "open_inodes",
    "proc_pri",
    "processes",
    "swap",
    "threads",
    "uptime",
    "users",
    "vmstat",
]  # of those that a fresh Debian has running, twenty
_SAID = {
    "cap": "cap multigraph dirtyconfig",
    "nodes": "bench.example\n.",
    "list": " ".join(PLUGINS),
}
PERIOD_S = 300
_ARCHIVES = [
    f"RRA:{kind}:0.5:{step}:{rows}" for kind in ("AVERAGE", "MIN", "MAX")
    for step, rows in ((1, 576), (6, 432), (24, 540), (288, 450))
]  # fmt: skip


def make_node(root: Path, state: Path) -> type[socketserver.StreamRequestHandler]:
    """What munin-node says, as far as munin-update asks; its plugins answer."""
    libraries = root / "usr/share/munin"
    env = {**os.environ, "MUNIN_LIBDIR": str(libraries), "PERL5LIB": str(root / "usr/share/perl5"),
           "MUNIN_PLUGSTATE": str(state), "MUNIN_STATEFILE": str(state / "plugins"), "LC_ALL": "C"}  # fmt: skip

    class Node(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.say("# munin node at bench.example")
            for line in self.rfile:
                word, _, rest = line.decode().strip().partition(" ")
                if word == "quit":
                    return
                if word in {"config", "fetch"}:
                    words = [str(libraries / "plugins" / rest), *(["config"] if word == "config" else [])]
                    done = subprocess.run(words, env=env, capture_output=True, text=True, check=True)
                    self.say(f"{done.stdout.rstrip()}\n.")
                else:
                    self.say(_SAID.get(word, "# unknown\n."))

        def say(self, text: str) -> None:
            self.wfile.write(f"{text}\n".encode())

    return Node


def unpack(cache: Path) -> Path | None:
    """Fetch and unpack the packages once; None where that cannot be done."""
    root = cache / "munin"
    if (root / "usr/share/munin/munin-graph").is_file():
        return root
    if not shutil.which("apt-get") or not shutil.which("dpkg"):
        return None
    fetched = cache / "munin-packages"
    fetched.mkdir(parents=True, exist_ok=True)
    for package in PACKAGES:  # one at a time: a name that this release lacks costs nothing
        subprocess.run(["apt-get", "-qq", "download", package], cwd=fetched, check=False, capture_output=True)
    for file in sorted(fetched.glob("*.deb")):
        subprocess.run(["dpkg", "-x", str(file), str(root)], check=True)
    return root if (root / "usr/share/munin/munin-graph").is_file() else None


class Munin:
    """A master with one node, in a folder of its own. graphs: how many it draws of a day."""

    def __init__(self, root: Path, folder: Path) -> None:
        self._root, self._state, self.graphs = root, folder / "munin", 0
        self._node = socketserver.ThreadingTCPServer(("127.0.0.1", 0), make_node(root, self._state / "run"))
        self._node.daemon_threads = True
        threading.Thread(target=self._node.serve_forever, daemon=True).start()
        folder.chmod(0o755)
        for name in ("db", "www", "log", "run"):
            (self._state / name).mkdir(parents=True)
        self._write_settings()
        if os.geteuid() == 0:  # munin refuses root
            for path in (self._state, *self._state.rglob("*")):
                os.chown(path, 65534, 65534)
        self.update()
        self._fill()
        self.run("munin-limits", ready=True)
        self.run("munin-html", ready=True)

    def close(self) -> None:
        """End the node."""
        self._node.shutdown()
        self._node.server_close()

    def _write_settings(self) -> None:
        state, share = self._state, self._root / "etc/munin"
        (state / "munin.conf").write_text(
            f"dbdir {state}/db\nhtmldir {state}/www\nlogdir {state}/log\nrundir {state}/run\n"
            f"tmpldir {share}/templates\nstaticdir {share}/static\ngraph_strategy cron\nhtml_strategy cron\n"
            f"max_graph_jobs 1\n[bench.example]\n  address 127.0.0.1\n"
            f"  port {self._node.server_address[1]}\n  use_node_name yes\n"
        )

    def run(self, program: str, *words: str, ready: bool = False) -> float:
        """CPU seconds of one program, started as cron starts it. ready: its failure ends the bench."""
        libraries = [*self._root.glob("usr/lib/*-linux-gnu*/perl5/*"), self._root / "usr/share/perl5"]
        native = [str(path) for path in self._root.glob("usr/lib/*-linux-gnu*") if path.is_dir()]
        env = {
            **os.environ,
            "PERL5LIB": ":".join(map(str, libraries)),
            "LD_LIBRARY_PATH": ":".join(native),
            "LC_ALL": "C",
        }
        argv = [
            "perl",
            str(self._root / "usr/share/munin" / program),
            f"--config={self._state}/munin.conf",
            *words,
        ]
        if os.geteuid() == 0:
            argv = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *argv]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if ready and done.returncode:
            raise SystemExit(
                f"{program} ended with {done.returncode}:\n{done.stdout[-600:]}{done.stderr[-1500:]}"
            )
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    def update(self) -> float:
        """One poll of the node."""
        return self.run("munin-update", ready=True)

    def graph(self, *, due: bool) -> float:
        """Draw the day graphs; due: none of them is there yet."""
        wanted = self._state / "db" / "graphs"  # what munin-html linked to
        day = [line for line in wanted.read_text().splitlines() if line.endswith("-day.png")]
        wanted.write_text("".join(f"{line}\n" for line in day))
        if due:
            for picture in (self._state / "www").rglob("*.png"):
                picture.unlink()
        spent = self.run("munin-graph", "--cron", ready=True)
        self.graphs = len(list((self._state / "www").rglob("*-day.png")))
        if self.graphs < len(PLUGINS):
            raise SystemExit(f"munin-graph drew {self.graphs} graphs of {len(PLUGINS)} plugins")
        return spent

    def _fill(self) -> None:
        """Put two days of a noisy load in the place of the archives that the first poll made."""
        now = int(time.time()) // PERIOD_S * PERIOD_S
        begin = now - 2 * 86400
        env = {**os.environ, "LD_LIBRARY_PATH": ":".join(map(str, self._root.glob("usr/lib/*-linux-gnu*")))}
        tool = str(self._root / "usr/bin/rrdtool")
        archives = sorted((self._state / "db").rglob("*.rrd"))
        if len(archives) < len(PLUGINS):
            raise SystemExit(f"munin-update made {archives}: {list((self._state / 'log').iterdir())}")
        for path in archives:
            owner = path.stat()
            path.unlink()
            create = [
                tool,
                "create",
                str(path),
                f"--start={begin - 1}",
                f"--step={PERIOD_S}",
                "DS:42:GAUGE:600:U:U",
            ]
            subprocess.run([*create, *_ARCHIVES], env=env, check=True)
            values = [
                f"{ts}:{50 + 40 * math.sin(ts / 13751) + 7919 * ts % 997 / 60:.3f}"
                for ts in range(begin, now, PERIOD_S)
            ]
            subprocess.run([tool, "update", str(path), *values], env=env, check=True)
            os.chown(path, owner.st_uid, owner.st_gid)


def main() -> int:
    """Show what Munin's five minutes cost here."""
    import tempfile

    root = unpack(Path(__file__).resolve().parents[1] / ".cache")
    if root is None:
        print("munin cannot be fetched here", file=sys.stderr)
        return 69
    with tempfile.TemporaryDirectory() as folder:
        munin = Munin(root, Path(folder))
        print(
            "update",
            munin.update(),
            "limits",
            munin.run("munin-limits"),
            "html",
            munin.run("munin-html"),
            end=" ",
        )
        print("graph", munin.graph(due=True), "of", munin.graphs, "idle", munin.graph(due=False))
        munin.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
