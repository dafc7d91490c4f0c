"""Settings: where they are found, what overrides what, and where each value says it comes from."""

from pathlib import Path

import pytest
from site_folder import Folder

from llamaagent.config.load import load_site
from llamaagent.domain.settings import Catalog, Headroom, ProjectLimits, Reports, Settings

EVERYTHING = """
profiles: [profiles/, extra]
database: data/my.db
host: box
interval: 1m
binary: ./bin/llama-server
ports: 9000-9010
env: {A: 1, B: no}
env_file: secrets.env
defaults: {args: {t: 8}}
headroom: {gpu_memory: 1GiB, memory: 2GB, disk: 0}
projects:
  research: {instances: 5, cpus: 1.5, memory: 64GiB, gpus: 2, gpu_hours: 100/week, tokens: 5M/day, max_priority: 10}
models: {directories: [/models, more]}
retention: {instance_samples: 1d, system_samples: 2d, generations: never, logs: 4d}
logs: {max_size: 1MiB}
reports:
  {directory: www, every: never, title: T, logo: l.png, links: {docs: "https://x"}, sections: [gpus], templates: t,
   keep: 1d, after: make it, after_timeout: 5s}
cache: {enabled: true, ttl: never, max_size: 1GiB, model_identity: content}
backup: {every: never, keep: 1, directory: bk}
notify: {command: ring, on: [crash, held], timeout: 5s}
ping: https://ping
git: {pull: always, branch: main}
prometheus: {textfile: p.prom}
access: {read: staff}
catalog:
  {sources: [ngc, "https://registry.lan"], expires: never, ngc_api: "https://mirror.lan/ngc/",
   mirrors: {nvcr.io: mirror.lan},
   insecure: ["registry.lan:5000"], tokens: {nvcr.io: {env: NGC_KEY}, "registry.lan:5000": "file:key"}}
"""


def test_every_key_reaches_its_field(folder: Folder) -> None:
    folder.write("llamaagent.yaml", EVERYTHING)
    (folder.root / "extra").mkdir()
    site = folder.load(host=None)
    assert site.faults == ()
    here = str(folder.root)
    settings = site.settings
    assert settings.origins[3] == ("interval", f"{here}/llamaagent.yaml:5")
    assert settings._replace(origins=()) == Settings(
        file=f"{here}/llamaagent.yaml",
        profiles=(f"{here}/profiles", f"{here}/extra"),
        database=f"{here}/data/my.db",
        host="box",
        interval_s=60,
        binary=f"{here}/bin/llama-server",
        ports=(9000, 9010),
        env=(("A", "1"), ("B", "no")),
        env_file=f"{here}/secrets.env",
        defaults='{"args":{"threads":8}}',
        headroom=Headroom(1024, 1908, 0),
        projects=(
            ProjectLimits("research", 5, 1.5, 65536, 2, (100.0, 604800), (5_000_000, 86400), None, 10),
        ),
        model_directories=("/models", f"{here}/more"),
        retain_instance_samples_s=86400,
        retain_system_samples_s=172800,
        retain_generations_s=None,
        retain_logs_s=345600,
        log_max_size_bytes=2**20,
        reports=Reports(
            f"{here}/www",
            None,
            "T",
            f"{here}/l.png",
            (("docs", "https://x"),),
            ("gpus",),
            f"{here}/t",
            86400,
            "make it",
            5,
        ),
        cache_enabled=True,
        cache_ttl_s=None,
        cache_max_size_bytes=2**30,
        cache_model_identity="content",
        backup_every_s=None,
        backup_keep=1,
        backup_directory=f"{here}/bk",
        notify_command="ring",
        notify_on=("crash", "held"),
        notify_timeout_s=5,
        ping="https://ping",
        git_pull="always",
        git_branch="main",
        prometheus_textfile=f"{here}/p.prom",
        access_read="staff",
        catalog=Catalog(
            ("ngc", "https://registry.lan"),
            None,
            "https://mirror.lan/ngc",
            (("nvcr.io", "mirror.lan"),),
            ("registry.lan:5000",),
            (("nvcr.io", "env", "NGC_KEY"), ("registry.lan:5000", "file", f"{here}/key")),
        ),
    )


def test_an_empty_file_means_the_defaults(folder: Folder) -> None:
    folder.write("llamaagent.yaml", "# nothing yet\n")
    settings = folder.load(host="h").settings
    file = str(folder.root / "llamaagent.yaml")
    assert settings._replace(origins=()) == Settings(
        file=file, host="h", profiles=(str(folder.root / "profiles"),)
    )
    assert {origin for _, origin in settings.origins} == {"default"}


def test_null_means_the_default(folder: Folder) -> None:
    folder.write("llamaagent.yaml", "database: null\ninterval: ~\nreports: {directory: null, every: 1h}\n")
    settings = folder.load().settings
    assert (settings.database, settings.interval_s, settings.reports.directory, settings.reports.every_s) == (
        None,
        30,
        None,
        3600,
    )


def test_the_hosts_own_file_is_laid_over_it(folder: Folder) -> None:
    folder.write("llamaagent.yaml", "interval: 1m\nheadroom: {memory: 1MiB, disk: 1MiB}\nbackup: {keep: 9}\n")
    folder.write("llamaagent.gpu1.yaml", "headroom: {disk: 2MiB}\nbackup: null\n")
    mine = folder.load(host="gpu1").settings
    assert (mine.interval_s, mine.headroom, mine.backup_keep) == (60, Headroom(512, 1, 2), 3)
    assert folder.load(host="gpu2").settings.headroom.disk_mib == 1
    assert folder.load(host="gpu1", portable=True).settings.headroom.disk_mib == 1
    assert dict(mine.origins)["headroom.disk"] == f"{folder.root}/llamaagent.gpu1.yaml:1"
    folder.write("llamaagent.yaml", "host: gpu1\n")
    assert folder.load(host=None).settings.headroom.disk_mib == 2


def test_the_environment_beats_the_file_and_says_so(folder: Folder) -> None:
    folder.write("llamaagent.yaml", "interval: 1m\ndatabase: a.db\ncache: {ttl: 1d}\n")
    settings = folder.load(
        LLAMAAGENT_INTERVAL="2m",
        LLAMAAGENT_DB_PATH="b.db",
        LLAMAAGENT_CACHE_TTL="90",
        LLAMAAGENT_CACHE_MAX_SIZE_MB="5",
        LLAMAAGENT_CACHE_ENABLED="yes",
        LLAMAAGENT_BACKUP_KEEP="7",
        LLAMAAGENT_REPORTS_DIRECTORY="~/www",
        LLAMAAGENT_DB_ENABLED="0",
        LLAMAAGENT_LOG_LEVEL="debug",
        LLAMAAGENT_LOG_TO_DB="off",
    ).settings
    assert (settings.interval_s, settings.database) == (120, str(folder.root / "b.db"))
    assert (settings.cache_ttl_s, settings.cache_max_size_bytes, settings.cache_enabled) == (
        90,
        5 * 2**20,
        True,
    )
    assert (settings.backup_keep, settings.reports.directory) == (7, str(folder.root / "home/www"))
    assert (settings.db_enabled, settings.log_level, settings.log_to_db) == (False, "DEBUG", False)
    origins = dict(settings.origins)
    assert origins["interval"] == "environment LLAMAAGENT_INTERVAL"
    assert origins["database"] == "environment LLAMAAGENT_DB_PATH"


def test_a_bad_variable_is_a_fault_that_names_it(folder: Folder) -> None:
    assert folder.faults(LLAMAAGENT_INTERVAL="30", LLAMAAGENT_CACHE_ENABLED="perhaps") == [
        "$LLAMAAGENT_CACHE_ENABLED:1:1: error: LLAMAAGENT_CACHE_ENABLED must be true or false, not 'perhaps'",
        "$LLAMAAGENT_INTERVAL:1:1: error: 'interval': '30' has no unit: write 30s, 30m, 30h or 30d",
    ]


MISTAKES = [
    (
        "catalog: {tokens: {nvcr.io: nvapi-x}}",
        "1:29: error: secret 'nvcr.io' must be a reference, {env: NAME}",
    ),
    (
        "catalog: {tokens: {'a b': {env: X}}}",
        "1:20: error: 'a b' is no host, such as nvcr.io or localhost:5000",
    ),
    ("ping: hc.example.org/secret", "1:7: error: 'ping' must be an http:// or https:// URL"),
    ("interval: 30", "1:11: error: 'interval': '30' has no unit: write 30s, 30m, 30h or 30d"),
    ("interval: never", "1:11: error: 'interval' cannot be never"),
    ("headroomm: {}", "1:1: error: unknown key 'headroomm', did you mean 'headroom'?"),
    ("reports: {everyy: 5m}", "1:11: error: unknown key 'everyy', did you mean 'every'?"),
    ("ports: 8100", "1:8: error: 'ports' must be a range of ports such as 8100-8199, not 8100"),
    (
        "ports: 8199-8100",
        "1:8: error: 'ports' must be a range of ports such as 8100-8199, not '8199-8100'",
    ),
    (
        "env: {A_TOKEN: x}",
        "1:7: error: 'A_TOKEN' looks like a secret; use 'secrets: {A_TOKEN: {env: A_TOKEN}}', not a literal",
    ),
    ("defaults: {args: {tempp: 1}}", "1:19: error: unknown key 'tempp', did you mean 'temp'?"),
    ("defaults: {name: x}", "1:12: error: unknown key 'name'; known are allow_dangerous, args, evict,"),
    (
        "projects: {r: {gpu_hours: 100}}",
        "1:27: error: 'gpu_hours': '100' is no amount per window: write 100/week, 5M/day, or per hour or month",
    ),
    (
        "projects: {Research: {}}",
        "1:12: error: project name 'Research' must be small letters, digits, '.', '_' and '-'",
    ),
    (
        "notify: {on: [crash, boom]}",
        "1:22: error: 'on' must be crash, gave_up, held, on_cpu, config_broken, disk_low or recovered, not 'boom'",
    ),
    ("retention: {logs: true}", "1:19: error: 'logs' must be a duration such as 30s or 5m, not true"),
    ("- a", "1:1: error: the settings must be a mapping"),
    ("a: 1\n---\nb: 2", "1:1: error: unknown key 'a'"),
]


@pytest.mark.parametrize(("text", "fault"), MISTAKES)
def test_each_mistake_has_its_sentence(folder: Folder, text: str, fault: str) -> None:
    folder.write("llamaagent.yaml", text)
    assert folder.faults()[0].startswith(f"llamaagent.yaml:{fault}")
    assert not folder.load().settings_ok


def _found(cwd: Path, environ: dict[str, str], config: str | None = None) -> str | None:
    return load_site(config=config, profiles=(), environ=environ, cwd=str(cwd), now=0, host="h").settings.file


def test_the_search_goes_from_the_option_to_etc(folder: Folder) -> None:
    root = folder.root
    deep = root / "a/b"
    deep.mkdir(parents=True)
    plain = folder.environ
    assert _found(deep, plain) is None  # outside of git only the folder itself is looked at
    (root / ".git").mkdir()
    assert _found(deep, plain) == str(root / "llamaagent.yaml")
    folder.write("a/llamaagent.yaml", "")
    assert _found(deep, plain) == str(root / "a/llamaagent.yaml")
    (root / "a/b/.git").mkdir()
    assert _found(deep, plain) is None
    user = folder.write("xdg/llamaagent/llamaagent.yaml", "")
    assert _found(deep, plain) == str(user)
    home = folder.write("home/.config/llamaagent/llamaagent.yaml", "")
    assert _found(deep, {"HOME": plain["HOME"]}) == str(home)
    assert _found(deep, {**plain, "LLAMAAGENT_CONFIG": str(root / "llamaagent.yaml")}) == str(
        root / "llamaagent.yaml"
    )
    assert _found(deep, {**plain, "LLAMAAGENT_CONFIG": "/none"}, "..") == str(root / "a/llamaagent.yaml")


def test_a_named_file_that_is_missing_is_a_fault_and_nothing_else_is_taken(folder: Folder) -> None:
    site = load_site(config="gone.yaml", profiles=(), environ=folder.environ, cwd=str(folder.root), now=0)
    assert not site.settings_ok
    assert site.settings.file == str(folder.root / "gone.yaml")
    assert "no such file or directory" in str(site.faults[0])


def test_named_profiles_replace_those_of_the_settings(folder: Folder) -> None:
    folder.write("profiles/a.yaml", "model: m\n")
    folder.write("other/b.yaml", "model: m\n")
    site = load_site(config=None, profiles=("other",), environ=folder.environ, cwd=str(folder.root), now=0)
    assert [profile.name for profile in site.profiles] == ["b"]


def test_the_real_path_of_the_settings_is_known(folder: Folder) -> None:
    link = folder.root / "link.yaml"
    link.symlink_to("llamaagent.yaml")
    site = load_site(config="link.yaml", profiles=(), environ=folder.environ, cwd=str(folder.root), now=0)
    assert (site.settings.file, site.real_file) == (str(link), str(folder.root / "llamaagent.yaml"))


@pytest.mark.parametrize("entry", ["profiles: [true]", "models: {directories: [x, true]}"])
def test_a_path_that_is_no_text_is_a_fault_not_the_end_of_the_program(folder: Folder, entry: str) -> None:
    folder.write("llamaagent.yaml", f"{entry}\n")
    site = folder.load()
    assert not site.settings_ok
    assert any(fault.severity == "error" and fault.line == 1 for fault in site.faults)
