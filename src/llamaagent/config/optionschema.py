"""JSON Schema of `args`: one definition for each option of the catalogue, under every one of its spellings. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from llamaagent.config.args import DANGEROUS, JSON_TEXT, LEAST_VERBOSITY, OWNED
from llamaagent.config.argv import WORDS
from llamaagent.config.catalogue import bare

if TYPE_CHECKING:
    from llamaagent.config.catalogue import Catalogue, Option

    Schema = dict[str, Any]

_WHOLE = r"0[xX][0-9a-fA-F_]+|0[oO][0-7_]+"
_DECIMAL = r"[0-9.][0-9_.]*(?:[eE][-+]?[0-9_]+)?"


def option_schemas(catalogue: Catalogue) -> dict[str, Schema]:
    """`args` and what it refers to, for `$defs`."""
    taken = [option for option in catalogue.options.values() if _may_stand(option)]
    args: Schema = {
        "type": "object",
        "properties": {option.name: {"$ref": refers(option.name)} for option in taken},
        "patternProperties": {_spellings(option): {"$ref": refers(option.name)} for option in taken},
        "additionalProperties": False,
    }
    return {"args": args, **{option.name: _option(option) for option in taken}}


def refers(name: str) -> str:
    """The address of a definition."""
    return f"#/$defs/{name}"


def one_of(*forms: Schema) -> Schema:
    """A value of any of these forms; alternatives inside a form are taken out of it."""
    out: list[Schema] = []
    for form in forms:
        out += form["anyOf"] if set(form) == {"anyOf"} else [form]
    return {"anyOf": out}


def or_null(schema: Schema) -> Schema:
    """The same, or null, which removes what was inherited."""
    if "$ref" in schema or "anyOf" in schema:
        return one_of(schema, {"type": "null"})
    if "enum" in schema:
        return {**schema, "enum": [*schema["enum"], *([] if None in schema["enum"] else [None])]}
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    return {**schema, "type": [*types, "null"]}


def words(word: str) -> str:
    """A pattern for a word in small or capital letters; flags are not known to every reader of schemas.

    >>> words("mon")
    '[Mm][Oo][Nn]'
    """
    return "".join(f"[{letter.upper()}{letter}]" for letter in word)


def _may_stand(option: Option) -> bool:
    """Options that the loader refuses whatever their value are unknown to the schema."""
    return option.name not in OWNED and not (option.gone or option.exits or option.preset)


def _spellings(option: Option) -> str:
    """Every spelling but the one that an editor is to propose."""
    spelled = sorted({bare(word) for word in (*option.names, *option.negations)})
    either = "|".join(_literal(word).replace("-", "[-_]") for word in spelled)
    return f"^(?!{_literal(option.name)}$)-*(?:{either})$"


def _literal(text: str) -> str:
    return re.sub(r"[.+*?()\[\]{}|^$\\]", r"\\\g<0>", text)


def _option(option: Option) -> Schema:
    return {"description": _described(option), **or_null(_with_lists(option))}


def _described(option: Option) -> str:
    parts = [", ".join((*option.names, *option.negations))]
    if option.default is not None:
        parts.append(f"default: {option.default}")
    also = (*option.choices, *WORDS.get(option.name, ()))
    if also and option.value != "enum":
        parts.append(f"also: {', '.join(also)}")
    if option.name in DANGEROUS:
        parts.append("needs allow_dangerous: true")
    return "; ".join(parts)


def _with_lists(option: Option) -> Schema:
    if option.value == "none":
        return {"type": "boolean"}
    single = _single(option)
    array: Schema = {"type": "array", "items": single}
    if option.values > 1:
        array["maxItems"] = option.values
    elif not option.repeatable and option.separator is None:
        array["maxItems"] = 1
    forms = [single, array, *([{"type": "object"}] if option.name in JSON_TEXT else [])]
    return one_of(*forms)


def _single(option: Option) -> Schema:
    """One value; numbers may be written as text."""
    if option.value == "enum" and option.choices:
        numbers = [int(word) for word in option.choices if word.isdecimal()]
        switch = [True, False] if {"on", "off"} <= set(option.choices) else []
        return {"enum": [*option.choices, *numbers, *switch]}
    if option.value not in {"int", "float"}:
        return {"type": ["string", "number"]}
    whole = option.value == "int"
    named = "|".join(_literal(word) for word in (*option.choices, *WORDS.get(option.name, ())))
    number = rf"\s*[-+]?(?:{_WHOLE + '|' if whole else ''}{_DECIMAL})\s*"
    schema: Schema = {
        "type": ["integer" if whole else "number", "string"],
        "pattern": f"^(?:{named + '|' if named else ''}{number})$",
    }
    if option.name == "verbosity":
        schema["minimum"] = LEAST_VERBOSITY
    return schema
