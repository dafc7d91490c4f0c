"""JSON Schema (draft 2020-12) of both kinds of files, made from the Specs that the loader checks by. Pure.

A schema sees one document as it is written, before anything is inherited, so it asks for no key; `null`, which
removes what was inherited, is good under every key. Patterns are kept to what Python and JavaScript share.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llamaagent.config.optionschema import one_of, option_schemas, or_null, refers, words
from llamaagent.config.schema import (
    LAUNCH_ONLY,
    MODEL_KEYS,
    NAME_PATTERN,
    PROFILE,
    PROJECT,
    RUNTIME_KEYS,
    SETTINGS,
    Spec,
)
from llamaagent.config.special import HOST, SECRET_WORDS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from llamaagent.config.catalogue import Catalogue

    Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_AMOUNT = r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)"
_VARIABLE = "[A-Za-z_][A-Za-z0-9_]*"
_DAY = "(?:" + "|".join(words(day) for day in ("mon", "tue", "wed", "thu", "fri", "sat", "sun")) + ")"
_DAYS = f"{_DAY}(?:-{_DAY})?"
_CLOCK = "(?:[01]?[0-9]|2[0-4]):[0-5][0-9]"
_SIZE = rf"^\s*(?:0|{_AMOUNT} ?(?:[KkMmGgTt][Ii]?)?[Bb])\s*$"
_TEXT: Schema = {"type": ["string", "number"]}
_FILLED: Schema = {"type": ["string", "number"], "pattern": r"\S"}


def profile_schema(catalogue: Catalogue) -> Schema:
    """What one document of a profile file may say."""
    schema = _profile(PROFILE)
    schema["properties"]["runtime"]["allOf"] = [_own_keys_only(kind) for kind in RUNTIME_KEYS]
    schema["allOf"] = [
        {
            "if": {
                "properties": {
                    "runtime": {
                        "type": "object",
                        "properties": {"kind": {"const": "external"}},
                        "required": ["kind"],
                    }
                },
                "required": ["runtime"],
            },
            "then": {"properties": {key: {"type": "null"} for key in LAUNCH_ONLY}},
        }
    ]
    return _whole("llamaagent: a profile", schema, catalogue)


def settings_schema(catalogue: Catalogue) -> Schema:
    """What llamaagent.yaml and a host's own file beside it may say."""
    return _whole("llamaagent: the settings of a site", _map(SETTINGS), catalogue)


def schema_of(kind: str, catalogue: Catalogue) -> Schema:
    """The schema of `profile` or `settings`."""
    return {"profile": profile_schema, "settings": settings_schema}[kind](catalogue)


def _whole(title: str, schema: Schema, catalogue: Catalogue) -> Schema:
    return {
        "$schema": DIALECT,
        "title": title,
        "$comment": f"made by: llamaagent check --schema; options of {catalogue.source}",
        **schema,
        "type": ["object", "null"],
        "$defs": option_schemas(catalogue),
    }


def _map(keys: Mapping[str, Spec]) -> Schema:
    return {
        "type": "object",
        "properties": {key: or_null(_value(spec)) for key, spec in keys.items()},
        "additionalProperties": False,
    }


def _profile(keys: Mapping[str, Spec]) -> Schema:
    """A profile with its short forms."""
    schema = _map(keys)
    short: dict[str, Schema] = {
        "model": {"type": "string", "pattern": r"\S"},
        "listen": one_of(
            {"enum": ["auto"]},
            {"type": "integer", "minimum": 1, "maximum": 65535},
            {"type": "string", "pattern": r"^(?:\[.*|[^:]*):(?:auto|[0-9]{1,7})$"},
        ),
        "schedule": one_of(_window(Spec("window")), {"type": "array", "items": _window(Spec("window"))}),
        "resources": one_of(
            {"enum": ["auto", "all", "none"]},
            {"type": "integer", "minimum": 0, "maximum": 1024},
            {"type": "string", "pattern": _SIZE},
        ),
        "restart": _choice(PROFILE["restart"].keys["policy"]),
    }
    properties = schema["properties"]
    if "extends" in properties:
        file = {"type": ["string", "null"], "minLength": 1}  # a path, so no number as other texts may be
        properties["extends"] = one_of(file, {"type": "array", "items": file})
    long = properties["model"]
    long["maxProperties"] = 1
    long["description"] = f"where the model comes from: one of {', '.join(MODEL_KEYS)}"
    for key, form in short.items():
        properties[key] = one_of(form, properties[key])
    return schema


def _own_keys_only(kind: str) -> Schema:
    """What belongs to other kinds of runtime must not stand beside this one."""
    others = sorted({key for keys in RUNTIME_KEYS.values() for key in keys} - set(RUNTIME_KEYS[kind]))
    return {
        "if": {"type": "object", "properties": {"kind": {"const": kind}}, "required": ["kind"]},
        "then": {"properties": {key: {"type": "null"} for key in others}},
    }


def _value(spec: Spec) -> Schema:
    return _MAKERS[spec.kind](spec)


def _pattern(pattern: str, description: str) -> Callable[[Spec], Schema]:
    def make(_spec: Spec) -> Schema:
        return {"type": "string", "pattern": pattern, "description": description}

    return make


def _filled(_spec: Spec) -> Schema:
    return dict(_FILLED)


def _name(_spec: Spec) -> Schema:
    return {
        "type": ["string", "number"],
        "pattern": f"^{NAME_PATTERN}$",
        "maxLength": 100,
        "minimum": 0,
        "description": "small letters, digits, '.', '_' and '-', a letter or digit first",
    }


def _choice(spec: Spec) -> Schema:
    return {"enum": list(spec.choices)}


def _number(spec: Spec) -> Schema:
    schema: Schema = {"type": "integer" if spec.kind == "int" else "number"}
    schema.update({} if spec.low is None else {"minimum": spec.low})
    schema.update({} if spec.high is None else {"maximum": spec.high})
    return schema


def _duration(spec: Spec) -> Schema:
    """A bare number has no unit; only 0 needs none."""
    never = "never|" if spec.never else ""
    least = f"(?=.*(?:{never}[1-9]))" if spec.low else ""
    pattern = rf"^{least}\s*(?:{never}0|(?:{_AMOUNT} ?[smhdw])+)\s*$"
    description = "a duration such as 30s, 5m, 1h30m or 7d" + (", or never" if spec.never else "")
    if spec.low:
        return {"type": "string", "pattern": pattern, "description": description}
    return {
        "type": ["string", "integer"],
        "pattern": pattern,
        "minimum": 0,
        "maximum": 0,
        "description": description,
    }


def _size(_spec: Spec) -> Schema:
    description = "a size such as 512MiB or 9GiB (1024-based), 9GB (1000-based)"
    types = ["string", "integer"]
    return {"type": types, "pattern": _SIZE, "minimum": 0, "maximum": 0, "description": description}


def _list(spec: Spec) -> Schema:
    """A list; a single entry may stand without one."""
    item = _value(Spec(spec.item, choices=spec.choices))
    return one_of(item, {"type": "array", "items": item})


def _texts(_spec: Spec) -> Schema:
    return {"type": "object", "additionalProperties": or_null(_TEXT)}


def _env(_spec: Spec) -> Schema:
    """Variables; those that look like secrets must be empty."""
    secret = "|".join(words(word) for word in SECRET_WORDS)
    return {
        "type": "object",
        "propertyNames": {"pattern": f"^(?!LLAMA_ARG_|LLAMAAGENT_){_VARIABLE}$"},
        "patternProperties": {secret: {"enum": ["", None], "description": "use `secrets`, not a literal"}},
        "additionalProperties": or_null(_TEXT),
    }


def _secrets(spec: Spec) -> Schema:
    forms = {
        "env": {"type": "string", "pattern": f"^{_VARIABLE}$"},
        "file": {"type": "string", "minLength": 1},
    }
    references: list[Schema] = [
        {"type": "object", "properties": {kind: form}, "required": [kind], "additionalProperties": False}
        for kind, form in forms.items()
    ]
    short = {"type": "string", "pattern": rf"^(?:env:{_VARIABLE}|file:[\s\S]+)$"}
    return {
        "type": "object",
        "description": "names to references, {env: NAME} or {file: PATH}; never the value",
        "properties": {} if spec.item == "host" else {"api-key": {}, "hf-token": {}},
        "propertyNames": {
            "pattern": f"^(?:{HOST.pattern if spec.item == 'host' else f'api-key|hf-token|{_VARIABLE}'})$"
        },
        "patternProperties": {"": or_null(one_of(*references, short))},
    }


def _gpus(_spec: Spec) -> Schema:
    card = {"type": ["string", "integer"], "pattern": r"^[0-9]+$|^[\s\S]{5}", "minimum": 0}
    return one_of(
        {"enum": ["auto", "all", "none"]},
        {"type": "integer", "minimum": 0, "maximum": 1024, "description": "how many cards"},
        {"type": "array", "items": card, "minItems": 1, "uniqueItems": True},
    )


def _port(_spec: Spec) -> Schema:
    return one_of({"enum": ["auto"]}, {"type": "integer", "minimum": 1, "maximum": 65535})


def _command(_spec: Spec) -> Schema:
    return one_of(_TEXT, {"type": "array", "items": _TEXT})


def _give_up(spec: Spec) -> Schema:
    return one_of({"enum": ["never"]}, _map(spec.keys))


def _projects(_spec: Spec) -> Schema:
    return {
        "type": "object",
        "propertyNames": {"pattern": f"^{NAME_PATTERN}$"},
        "additionalProperties": or_null(_map(PROJECT.keys)),
    }


def _defaults(_spec: Spec) -> Schema:
    return _profile({key: spec for key, spec in PROFILE.items() if key not in {"name", "extends"}})


_window = _pattern(
    rf"^\s*(?:{_DAYS}(?:,{_DAYS})*\s+)?{_CLOCK}\s*-\s*{_CLOCK}\s*$",
    "like 'Mon-Fri 08:00-18:00' or '22:00-06:00'",
)
_MAKERS: dict[str, Callable[[Spec], Schema]] = {
    **dict.fromkeys(("text", "path", "model", "binary"), _filled),
    "url": _pattern(r"^https?:/{2}[^\s/]\S*$", "the address of a web page, http or https"),
    "name": _name,
    "choice": _choice,
    "bool": lambda _spec: {"type": "boolean"},
    "int": _number,
    "number": _number,
    "duration": _duration,
    "size": _size,
    "rate": _pattern(
        rf"^\s*{_AMOUNT} ?[kMG]?\s*/\s*(?:hour|day|week|month)\s*$", "an amount per window such as 100/week"
    ),
    "list": _list,
    "map": lambda spec: _map(spec.keys),
    "texts": _texts,
    "env": _env,
    "secrets": _secrets,
    "gpus": _gpus,
    "port": _port,
    "range": _pattern(r"^\s*[0-9]{1,8}\s*-\s*[0-9]{1,8}\s*$", "a range of ports such as 8100-8199"),
    "window": _window,
    "zone": _pattern(r"\S", "a time zone such as Europe/Berlin"),
    "command": _command,
    "unit": _pattern(r"^systemd:[A-Za-z0-9@._:\\-]+$", "systemd:UNIT, such as systemd:llama.service"),
    "give_up": _give_up,
    "args": lambda _spec: {"$ref": refers("args"), "description": "llama-server's own options"},
    "projects": _projects,
    "profile": _defaults,
}
