"""The environment of a server is made, not inherited, so that a shell, cron and a supervisor launch alike.

It consists of what the password database and the host say about the user, a fixed PATH, what the files ask
for, and the three names by which a launch is found again. Secrets are resolved here, at the moment of the
launch, and go from a variable or a file into a variable: their values are in no message, no row and no
command line.
"""

from __future__ import annotations

import os
import stat

from llamaagent.base.errors import ConfigError
from llamaagent.base.paths import ensure_private_dir, home_of
from llamaagent.launch.adopt import LAUNCH_ID, PROFILE, SITE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from llamaagent.domain.profile import SecretRef

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_ZONES = "/zoneinfo/"
# option -> (variable for its value, variable for a file that holds it); source: llama-server --help
SECRET_VARIABLES = {
    "api-key": ("LLAMA_API_KEY", "LLAMA_ARG_API_KEY_FILE"),
    "hf-token": ("HF_TOKEN", None),
}


def made_environment(
    *,
    site_id: str,
    profile: str,
    launch_id: str,
    state_dir: str,
    settings_env: Iterable[tuple[str, str]] = (),
    runtime_env: Iterable[tuple[str, str]] = (),
    secrets: Iterable[tuple[str, str]] = (),
    visible_gpus: tuple[str, ...] | None = None,
    gpu_variables: Iterable[tuple[str, str]] = (),
    timezone: str | None = None,
) -> tuple[tuple[str, str], ...]:
    """Make the whole environment of one launch, sorted by name.

    secrets: variables as `secret_environment` gives them; they win over the files' env. visible_gpus: uuids
    (or indexes) of the NVIDIA cards it may use, () = none, None = nothing is said. gpu_variables: as
    `visible_variables` makes them of a placement, instead of visible_gpus. timezone: default the host's
    own. state_dir: our private folder; an empty folder in it becomes XDG_CONFIG_HOME, since llama-server
    would read a config.ini from there in silence. Raises CannotCreateError when that folder cannot be made.
    """
    made = plain_environment(timezone)
    made["XDG_CONFIG_HOME"] = ensure_private_dir(f"{state_dir}/empty-config")
    if visible_gpus is not None:
        made["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
        made["CUDA_VISIBLE_DEVICES"] = ",".join(visible_gpus) or "-1"
    made.update(gpu_variables)
    made.update(settings_env)
    made.update(runtime_env)
    made.update(secrets)
    made |= {SITE: site_id, PROFILE: profile, LAUNCH_ID: launch_id}
    return tuple(sorted(made.items()))


def plain_environment(timezone: str | None = None) -> dict[str, str]:
    """Who the user is, where programs are, the time zone (default the host's own): what any program of ours gets."""
    made = _user()
    zone = host_timezone() if timezone is None else timezone
    if zone:
        made["TZ"] = zone
    return made | {
        "LANG": "C.UTF-8",
        "PATH": PATH,
        "TMPDIR": "/tmp",  # noqa: S108 - the name is the program's to use, nothing of ours lies there
    }


def _user() -> dict[str, str]:
    import pwd

    uid = os.geteuid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:  # a container with a number for a user
        name = str(uid)
    return {"HOME": home_of(uid), "USER": name, "LOGNAME": name}


def host_timezone(root: str = "") -> str | None:
    """Name of the host's time zone, such as Europe/Berlin; None when the host does not say.

    The link /etc/localtime is the truth where it is one; Debian writes /etc/timezone beside it. root: a
    folder to read instead of /.
    """
    try:
        target = os.path.realpath(os.readlink(f"{root}/etc/localtime"))
        if _ZONES in target:
            return target.rpartition(_ZONES)[2]
    except OSError:
        pass  # a copy, or none
    try:
        with open(f"{root}/etc/timezone", encoding="ascii") as file:
            return file.read(256).strip() or None
    except (OSError, UnicodeDecodeError):
        return None


def secret_environment(
    secrets: Iterable[tuple[str, SecretRef]], environ: Mapping[str, str], env_file: Mapping[str, str]
) -> tuple[tuple[str, str], ...]:
    """Turn a profile's secrets into variables: those that llama-server reads, or the one that a secret is named after.

    A file is handed over by its path where the server has a variable for that (after a look that it can be
    read). Raises ConfigError naming option and reference, never the value.
    """
    made: list[tuple[str, str]] = []
    for option, ref in secrets:
        if option not in SECRET_VARIABLES and not option.isidentifier():
            known = ", ".join(sorted(SECRET_VARIABLES))
            raise ConfigError(f"secrets.{option} cannot be passed to llama-server", hint=f"known are {known}")
        variable, file_variable = SECRET_VARIABLES.get(option, (option, None))
        value = resolve_secret(ref, environ, env_file)
        if ref.kind == "file" and file_variable:
            made.append((file_variable, ref.value))
        else:
            made.append((variable, value))
    return tuple(made)


def resolve_secret(ref: SecretRef, environ: Mapping[str, str], env_file: Mapping[str, str]) -> str:
    """The value behind a reference: the env file's variable, else ours; or a file's text without line end.

    The env file comes first, because it is what cron and a shell have in common.
    Raises ConfigError when there is none, it is empty, or it holds a NUL or a line end.
    """
    if ref.kind == "env":
        value = env_file.get(ref.value) or environ.get(ref.value) or ""
        if not value:
            raise ConfigError(
                f"secret {ref} is not set", hint=f"put {ref.value}=... into the settings' env_file, mode 0600"
            )
    else:
        value = _read_owned(ref.value, f"secret {ref}", 65536, forbidden=0o022).rstrip("\r\n")
        if not value:
            raise ConfigError(f"secret {ref} is empty")
    if "\0" in value or (ref.kind == "env" and "\n" in value):
        raise ConfigError(f"secret {ref} holds a character that no variable can carry")
    return value


def read_env_file(path: str) -> dict[str, str]:
    """Read `NAME=value` lines, skipping blank lines and those that start with `#`.

    A leading `export ` and one pair of quotes are dropped; nothing is expanded. Raises ConfigError: not
    readable, open to others, or a line that is no assignment (the line's number is named, not its text).
    """
    found: dict[str, str] = {}
    lines = _read_owned(path, "env_file", 1_000_000, forbidden=0o077).splitlines()
    for number, line in enumerate(lines, start=1):
        text = line.strip().removeprefix("export ").lstrip()
        if not text or text.startswith("#"):
            continue
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier():
            raise ConfigError(f"{path}:{number}:1: error: not of the form NAME=value")
        value = value.strip()
        if len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"":
            value = value[1:-1]
        found[name] = value
    return found


def _read_owned(path: str, what: str, limit: int, *, forbidden: int) -> str:
    """Text of a file whose mode has none of the forbidden bits.

    An env file is for one user alone; a single secret may be shared by a group or mounted 0444 into a
    container, but others may not change it.
    """
    try:
        with open(path, "rb") as file:
            found = os.fstat(file.fileno())
            data = file.read(limit + 1)
    except OSError as error:
        raise ConfigError(f"{what}: cannot read {path}: {error.strerror}") from error
    if forbidden == 0o077 and found.st_uid not in {os.geteuid(), 0}:
        raise ConfigError(f"{what}: {path} belongs to uid {found.st_uid}, not to you")
    if stat.S_IMODE(found.st_mode) & forbidden:
        raise ConfigError(f"{what}: {path} is open to others", hint=f"chmod 600 {path}")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise ConfigError(f"{what}: {path} is not UTF-8 text") from None
    if len(data) > limit:
        raise ConfigError(f"{what}: {path} is larger than {limit} bytes")
    return text
