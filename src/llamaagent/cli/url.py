"""`url` and `env`: where clients go."""

from __future__ import annotations

from llamaagent.base.errors import ServiceUnavailableError
from llamaagent.cli.rows import profile_rows
from llamaagent.cli.site import load, one_name, reading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.cli.spec import Values


def _find(values: Values) -> tuple[str, str]:
    """(name, url) of the one profile meant. Raises ServiceUnavailableError when it does not run."""
    opened = load(values)
    with reading(opened) as db:
        rows = {str(row["profile"]): row for row in profile_rows(opened, db)}
    name = one_name(values.text("name") or "", set(rows))
    row = rows[name]
    if row["status"] not in {"running", "unhealthy", "loading"} or not row["url"]:
        raise ServiceUnavailableError(f"{name} is {row['state']}", hint=f"llamaagent start {name}")
    return name, str(row["url"])


def run(values: Values) -> int:
    """Print the address."""
    print(_find(values)[1])
    return 0


def env(values: Values) -> int:
    """Print the lines that a shell can evaluate; a key stays a reference to its variable."""
    from shlex import quote

    name, url = _find(values)
    profile = next((p for p in load(values).site.profiles if p.name == name), None)
    key = dict(profile.secrets).get("api-key") if profile is not None else None
    print(f"export OPENAI_BASE_URL={quote(url + '/v1')}")
    if key is None:
        print("export OPENAI_API_KEY=none")
    elif key.kind == "env":
        print(f'export OPENAI_API_KEY="${key.value}"')
    else:
        print(f'export OPENAI_API_KEY="$(cat {quote(key.value)})"')
    return 0
