"""Databases of the programs that `db import` knows, made by their own definitions, with rows in every table."""

import json
import time
from pathlib import Path
from typing import Any

import apsw

DEFINITIONS = Path(__file__).resolve().parents[1] / "fixtures" / "foreign"
NOW = int(time.time())
DAY = 86400
CANARIES = ("hf_canaryAAAAAAAAAAAAAAAA", "sk-canary-BBBBBBBBBBBB", "canary-password-CCC")


def text_time(ts: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(ts))


def make(path: Path, kind: str) -> apsw.Connection:
    """An empty database of that program, open."""
    db = apsw.Connection(str(path))
    db.execute((DEFINITIONS / f"{kind}.sql").read_text(encoding="utf-8"))
    return db


def put(db: apsw.Connection, table: str, **values: Any) -> int:
    columns = ", ".join(f'"{name}"' for name in values)
    marks = ", ".join(f":{name}" for name in values)
    db.execute(f"INSERT INTO {table} ({columns}) VALUES ({marks})", values)
    return db.last_insert_rowid()


def dashboard_v1(path: Path) -> Path:
    db = make(path, "dashboard_v1")
    t = NOW - 5 * DAY
    put(db, "models", id="model_1_a", name="llama-2-7b-chat.Q4_K_M.gguf", status="loaded", favorite=1,
        model_path="/models/llama-2-7b-chat.Q4_K_M.gguf", file_size=4268994560, quantization="Q4_K_M",
        parameters=json.dumps({"temperature": 0.7, "top_p": 0.9, "repeat_penalty": 1.1, "wobble": 3}),
        params=json.dumps({"vocab_size": 32000, "hidden_size": 4096}), ctx_size=8192, embedding_size=4096,
        block_count=32, created_at=t, updated_at=t + 9)  # fmt: skip
    put(
        db,
        "models",
        id="model_2_b",
        name="llama-2-7b-chat.Q4_K_M.gguf",
        model_path="/models/b.gguf",
        created_at=t,
    )
    put(db, "models", id="model_3_c", name="nowhere", created_at=t)
    for n in range(3):
        put(db, "metrics", cpu_usage=25.5 + n, memory_usage=40.0, disk_usage=50.0, active_models=2, uptime=3600.5,
            gpu_usage=78.0, gpu_memory_used=8192.0, gpu_memory_total=24576.0, swap_usage=5.0,
            timestamp=t + 30 * n)  # fmt: skip
    put(db, "metrics", cpu_usage=90.0, memory_usage=10.0, timestamp=NOW - 400 * DAY)
    put(db, "metrics", cpu_usage=1.0, timestamp=NOW + 30 * DAY)
    for level in ("debug", "info", "warn", "error", "critical", "loud"):
        put(
            db,
            "logs",
            level=level,
            message=f"a {level} line with {CANARIES[0]}",
            source="server",
            timestamp=t,
        )
    put(db, "logs", level="info", message="the same twice", source="models", timestamp=t)
    put(db, "logs", level="info", message="the same twice", source="models", timestamp=t)
    config = {
        "serverPath": "/usr/local/bin/llama-server",
        "port": 8080,
        "baseModelsPath": "/m",
        "apiKey": CANARIES[1],
    }
    put(db, "server_config", key="config", value=json.dumps(config))
    put(db, "metadata", key="lastScanTime", value=str(t), updated_at=t)
    put(db, "metadata", key="site", value='{"path": "/evil"}', updated_at=t)
    db.close()
    return path


def dashboard_v2(path: Path) -> Path:
    db = make(path, "dashboard_v2")
    ms = (NOW - 5 * DAY) * 1000
    stamps = {"created_at": ms, "updated_at": ms}
    one = put(db, "models", name="Llama 3 8B", type="llama", status="running", model_path="/models/l3.gguf",
              ctx_size=16384, hf_token=CANARIES[0], threads=8, hf_file_v="vocoder.gguf", priority=1,
              file_size_bytes=5_000_000, fit_params_available=1, **stamps)  # fmt: skip
    two = put(db, "models", name="plain", type="llama", status="error", hf_repo="user/repo:Q4_K_M", **stamps)
    for table in ("sampling", "memory", "gpu", "advanced", "lora", "multimodal"):
        put(db, f"model_{table}_config", model_id=two, **stamps)  # every default of the program's own
    put(db, "model_sampling_config", model_id=one, temperature=0.7, top_k=20, ignore_eos=1, dry_penalty_last_n=-1,
        logit_bias="261-1,262+5", seed=42, flash_attn="on", repeat_last_n=-1, **stamps)  # fmt: skip
    put(db, "model_memory_config", model_id=one, mlock=1, cache_type_k="q8_0", defrag_thold=3, **stamps)
    put(db, "model_gpu_config", model_id=one, device="0,1", gpu_layers="all", tensor_split="3,1", **stamps)
    custom = json.dumps({"cache-prompt": False, "no-such-option": 1})
    put(db, "model_advanced_config", model_id=one, polling="60", fit="off", custom_params=custom, **stamps)
    put(db, "model_lora_config", model_id=one, lora="/l/a.gguf", draft_max=8, model_draft="/m/draft.gguf",
        control_vector_layer_range="10 20", spec_replace="a b", **stamps)  # fmt: skip
    put(db, "model_multimodal_config", model_id=one, mmproj="/m/mm.gguf", image_max_tokens=1024, **stamps)
    put(db, "model_multimodal_config", model_id=99, mmproj="/m/lost.gguf", **stamps)
    put(db, "model_fit_params", model_id=one, recommended_ctx_size=8192, fit_params_success=1,
        fit_params_raw_output="-c 8192", projected_gpu_memory_mb=6000.5, fit_params_analyzed_at=ms,
        **stamps)  # fmt: skip
    server = {"port": 9090, "host": "0.0.0.0", "api_key": CANARIES[1], "api_key_file": "/k", "jinja": 0}
    put(db, "model_server_config", timeout=900, log_file="/tmp/x.log", **server, **stamps)
    metrics = {"memory_usage": 62.5, "disk_usage": 40.0, "gpu_usage": 50.0, "gpu_temperature": 70.0}
    metrics |= {"gpu_memory_used": 1000.0, "gpu_memory_total": 8000.0, "gpu_power_usage": 150.5}
    metrics |= {"active_models": 3, "uptime": 60}
    metrics["requests_per_minute"] = 12.0
    for n in range(4):
        put(
            db, "metrics_history", timestamp=ms + 30_000 * n + 7, cpu_usage=10.0 * n, created_at=ms, **metrics
        )
    put(db, "metadata", key="db_version", value="2.0", updated_at=ms)
    put(db, "metadata", key="theme_preference", value='"dark"', updated_at=ms)
    put(db, "metadata", key="github_token", value=CANARIES[2], updated_at=ms)
    db.close()
    return path


def dashboard_wide(path: Path) -> Path:
    db = make(path, "dashboard_wide")
    stamp = NOW - 5 * DAY
    put(db, "models", name="wide", type="llama", status="running", model_path="/models/w.gguf", temperature=0.5,
        ctx_size=4096, gpu_layers=99, port=8081, host="127.0.0.1", mmap=1, api_key=CANARIES[1], timeout=600,
        custom_params="{}", created_at=stamp, updated_at=stamp)  # fmt: skip
    put(db, "metrics_history", timestamp=stamp * 1000, cpu_usage=5.0, memory_usage=1.0, disk_usage=1.0, gpu_usage=0.0,
        gpu_temperature=0.0, gpu_memory_used=0.0, gpu_memory_total=0.0, gpu_power_usage=0.0, active_models=1, uptime=1,
        requests_per_minute=0.0, created_at=stamp)  # fmt: skip
    put(db, "metadata", key="theme_preference", value='"light"', updated_at=stamp)
    db.close()
    return path


def cyllama(path: Path) -> Path:
    db = make(path, "cyllama")
    t = text_time(NOW - 5 * DAY)
    for key, value, kind in (
        ("default_model", '"models/llama.gguf"', "str"),
        ("default_temperature", "0.7", "float"),
        ("n_gpu_layers", "99", "int"),
        ("verbose", "true", "bool"),
        ("extra", '{"a": [1]}', "json"),
        ("broken", "many", "int"),
        ("api_key", json.dumps(CANARIES[1]), "str"),
    ):
        put(db, "config", key=key, value=value, value_type=kind, created_at=t, updated_at=t)
    answer = {
        "prompt": "why?",
        "prompt_hash": "p",
        "model_path": "m.gguf",
        "config_json": "{}",
        "created_at": t,
    }
    put(db, "cache", cache_key="k1", response_text="because", tokens_generated=3, hit_count=2, **answer)
    put(db, "cache", cache_key="k2", response_text="old", expires_at=text_time(NOW - DAY), **answer)
    for _ in range(2):  # the same in all but its number: two generations
        put(db, "stats", session_id="s", model_path="m.gguf", model_name="m", prompt_tokens=10, generated_tokens=20,
            prompt_time_ms=100.0, generation_time_ms=900.0, total_time_ms=1000.0, tokens_per_second=22.2,
            temperature=0.7, max_tokens=512, finish_reason="stop", cache_hit=0, created_at=t)  # fmt: skip
    put(db, "logs", level="ERROR", category="generation", message=f"bad {CANARIES[1]}", context_json="not json",
        error_type="ValueError", stack_trace="Traceback", created_at=t)  # fmt: skip
    put(db, "models", path="/models/c.gguf", filename="c.gguf", size_bytes=7, format="gguf", parameter_count="7B",
        quantization="Q4_0", context_length=4096, metadata_json='{"a": 1}', first_seen_at=t)  # fmt: skip
    put(db, "schema_version", version=3, applied_at=t)
    db.close()
    return path


def mlenv(path: Path) -> Path:
    db = make(path, "mlenv")
    t = NOW - 5 * DAY
    image = put(
        db, "ngc_images", name="pytorch", organization="nvidia", category="pytorch", created_at=text_time(t)
    )
    put(db, "ngc_images", name="pytorch", organization="nvidia")  # NULL team: its UNIQUE lets it in twice
    put(db, "image_versions", image_id=image, tag="24.01", cuda_version="12.3", manifest_json="{broken")
    put(db, "image_versions", image_id=77, tag="lost")
    user = put(db, "users", username="ann", email="ann@example.org")
    put(db, "container_instances", container_id="abc123", container_name="tiny", image_name="pytorch:24.01",
        project_path="/home/ann/p", status="running", cpu_limit=4.0, memory_limit_gb=32.0, gpu_devices='["0", "1"]',
        port_mappings='{"8888": "8888"}', created_at=text_time(t), started_at=text_time(t + 5), cpu_usage_avg=50.0,
        memory_usage_avg_gb=2.0, gpu_utilization_avg=30.0, user_id=user)  # fmt: skip
    put(db, "container_instances", container_id="def456", container_name="MLEnv Job", image_name="x",
        project_path="/p", status="error", created_at=text_time(t), stopped_at=text_time(t + 60))  # fmt: skip
    gpus = json.dumps([{"gpu_id": 0, "utilization": 78, "memory_used": 8192}])
    for n in range(3):
        put(db, "resource_metrics", container_id="abc123", timestamp=text_time(t + 10 + 30 * n), cpu_percent=120.0,
            memory_used_gb=1.5, memory_percent=4.0, gpu_metrics=gpus, disk_read_mb=10.0 * n, disk_write_mb=1.0,
            network_rx_mb=5.0, network_tx_mb=6.0)  # fmt: skip
    put(db, "resource_metrics", container_id="abc123", timestamp=text_time(NOW - 60 * DAY), cpu_percent=10.0)
    put(db, "resource_metrics", container_id="gone", timestamp=text_time(t), cpu_percent=1.0)
    stats = json.dumps([{"gpu_id": n, "utilization": 40 + n, "memory_used": 100, "memory_total": 24000,
                         "temperature": 60, "power_usage": 200.5} for n in (0, 1)])  # fmt: skip
    for ts in (t, t + 30, NOW - 800 * DAY):
        put(db, "system_snapshots", timestamp=text_time(ts), cpu_percent=12.5, cpu_cores=16, memory_total_gb=64.0,
            memory_used_gb=16.0, memory_available_gb=48.0, memory_percent=25.0, gpu_stats=stats, load_1min=1.25,
            load_5min=1.0, load_15min=0.5)  # fmt: skip
    put(db, "api_cache", endpoint="/api/v2/images", response="{}", expires_at=text_time(NOW + DAY))
    put(db, "api_cache", endpoint="/old", response="{}", expires_at=text_time(t))
    put(db, "project_quotas", project_path="/home/ann/p", max_containers=5, max_cpu_cores=16.0, max_memory_gb=64.0,
        max_gpus=2, current_containers=1)  # fmt: skip
    put(db, "project_quotas", project_path="/nothing")
    put(db, "gpu_allocations", gpu_id=0, container_name="tiny")
    put(db, "audit_log", timestamp=text_time(t), user_id=user, action="up", details="started by hand")
    put(
        db,
        "health_checks",
        container_id="abc123",
        timestamp=text_time(t),
        status="unhealthy",
        failure_count=2,
    )
    db.close()
    return path


SOURCES = {
    "dashboard-v1": dashboard_v1,
    "dashboard-v2": dashboard_v2,
    "dashboard-wide": dashboard_wide,
    "cyllama": cyllama,
    "mlenv": mlenv,
}
