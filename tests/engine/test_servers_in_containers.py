"""A real llama-server in a real container: the image is empty, the program is mounted from this host."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from engine.scratch_engine import IMAGE
from system.scratch_site import ask, eventually

if TYPE_CHECKING:
    from pathlib import Path

    from engine.boxed import Boxed

pytestmark = [pytest.mark.container, pytest.mark.binary]


def server(
    boxed: Boxed, binary: str, model: str, *, runtime: dict[str, Any] | None = None, **keys: Any
) -> Path:
    folder = os.path.dirname(os.path.dirname(os.path.realpath(binary)))
    mounts = [f"{path}:{path}:ro" for path in ("/usr", "/lib", "/lib64", folder)]
    made = {"kind": "container", "image": IMAGE, "entrypoint": [os.path.realpath(binary)], "volumes": mounts}
    return boxed.site.profile(
        "alpha",
        **{
            "model": model,
            "args": {"threads": 1, "parallel": 2, "ctx-size": 512},
            "resources": {"memory": "2GiB", "gpus": "none"},
            "runtime": {**made, "network": "host", **(runtime or {})},
            **keys,
        },
    )


def test_it_is_asked_counted_and_sampled_like_any_other(
    boxed: Boxed, llama_server_binary: str, tiny_model: str
) -> None:
    site = boxed.site
    server(boxed, llama_server_binary, tiny_model)
    row = site.settle(deadline_s=60)["alpha"]
    found = boxed.one("alpha")
    assert (row["pid"], row["container_id"]) == (found.pid, found.id)
    status, text = ask(row["port"], "/completion", {"prompt": "a", "n_predict": 8})
    assert status == 200, text
    told = json.loads(text)["timings"]
    eventually(lambda: site.once() and site.count("generations") > 0, "the request is counted")
    request = site.rows("SELECT * FROM generations WHERE generated_tokens = 8")[0]
    assert request["prompt_tokens"] == told["prompt_n"]
    site.once()
    assert site.count("generations") == len(site.rows("SELECT DISTINCT launch_id, task_id FROM generations"))
    sample = site.sampled()
    assert int(str(sample["predicted_tokens_total"])) >= 8
    mounts = boxed.docker.engine().api.inspect_container(found.id)["Mounts"]
    folder = os.path.dirname(tiny_model)
    assert any(m["Source"] == m["Destination"] == folder and not m["RW"] for m in mounts)
    assert json.loads(site.run("ps", "--json").out)[0]["build"]


def test_an_option_that_the_image_does_not_have_holds_it(
    boxed: Boxed, llama_server_binary: str, tiny_model: str, tmp_path: Path
) -> None:
    old = tmp_path / "old-server"
    old.write_text(
        '#!/bin/sh\nprintf -- "-m, --model FNAME   model\\n-c, --ctx-size N   size\\n--port N  p\\n"\n'
    )
    old.chmod(0o755)
    runtime = {"entrypoint": [str(old)], "volumes": [f"{tmp_path}:{tmp_path}:ro"]}
    server(boxed, llama_server_binary, tiny_model, runtime=runtime, args={"threads": 1})
    boxed.site.once()
    row = boxed.site.newest()["alpha"]
    assert (row["status"], row["reason"]) == ("created", "bad-option"), row
    assert "has no option --threads" in str(row["detail"])
    assert boxed.ours() == {}


def test_a_secret_is_a_file_for_the_server_alone(
    boxed: Boxed, llama_server_binary: str, tiny_model: str
) -> None:
    site = boxed.site
    site.env["ALPHA_KEY"] = "canary-7f3a"
    server(boxed, llama_server_binary, tiny_model, secrets={"api-key": {"env": "ALPHA_KEY"}})
    row = site.settle(deadline_s=60)["alpha"]
    assert ask(row["port"], "/completion", {"prompt": "a", "n_predict": 1})[0] == 401
    assert ask(row["port"], "/completion", {"prompt": "a", "n_predict": 1}, key="canary-7f3a")[0] == 200
    raw = json.dumps(boxed.docker.engine().api.inspect_container(str(row["container_id"])))
    assert "canary" not in raw
    secrets = list((site.root / "xdg" / "state").rglob("secrets/*/api-key"))
    assert [oct(path.stat().st_mode & 0o777) for path in secrets] == ["0o600"]
    assert "canary" not in json.dumps(site.rows("SELECT * FROM instances"))
    assert site.run("stop", "alpha").rc == 0
    assert list((site.root / "xdg" / "state").rglob("secrets/*/*")) == []
