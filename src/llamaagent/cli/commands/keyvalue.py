"""Typed values that people and programs keep in the database."""

from __future__ import annotations

from llamaagent.cli.commands.words import DATA
from llamaagent.cli.spec import LISTING, Arg, Opt, Spec
from llamaagent.domain.typed import TYPES

_JSON = Opt("json", ("--json",), "One JSON object.")
_KEY = Arg("key", "Letters, digits and _ . : / -.", required=True)

KEY_VALUES = (
    Spec(
        "config get",
        DATA,
        "One of your own values, kept in the database.\n\n"
        "Text comes as it is, all else as JSON. Exit code 1 when it is not set and there is no --default. What steers "
        "the agent is in its YAML: `settings`.",
        "keyvalue:get",
        (Opt("default", ("--default",), "What to print when it is not set.", "text", "VALUE"), _JSON),
        (_KEY,),
        "llamaagent config get default_temperature",
    ),
    Spec(
        "config set",
        DATA,
        "Keep a value of your own in the database, with its type.\n\n"
        "A key of the settings is refused, and so is a secret: store env:NAME or file:/path. The change goes into the "
        "audit log. A value that begins with - comes after --.",
        "keyvalue:put",
        (Opt("type", ("--type",), "Its type (default: what it looks like).", "text", None, TYPES), _JSON),
        (_KEY, Arg("value", "The value.", required=True)),
        "llamaagent config set default_temperature 0.7",
    ),
    Spec(
        "config unset",
        DATA,
        "Remove one of your own values.",
        "keyvalue:drop",
        (_JSON,),
        (_KEY,),
        "llamaagent config unset default_temperature",
    ),
    Spec(
        "config list",
        DATA,
        "Your own values, each with its type.",
        "keyvalue:listing",
        LISTING,
        (),
        "llamaagent config list --json",
    ),
)
