"""The engine of the templates, and whose fault it is when a page cannot be filled: the user's are named by line."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from llamaagent.base.errors import ConfigError, LlamaAgentError
from llamaagent.report.folder import site_folder

if TYPE_CHECKING:
    import jinja2


def make_environment(templates: str | None, cache_directory: str | None) -> jinja2.Environment:
    """The engine over the user's folder and ours. cache_directory: where compiled templates lie, None = nowhere."""
    import jinja2

    cache = None
    if cache_directory is not None:
        folder = os.path.join(cache_directory, "templates")
        try:
            os.makedirs(folder, mode=0o700, exist_ok=True)
            cache = jinja2.FileSystemBytecodeCache(folder)
        except OSError:
            cache = None  # a little slower, that is all
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader([folder for folder in (templates, site_folder()) if folder]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        bytecode_cache=cache,
    )


def find_fault(error: Exception, template: str, templates: str) -> ConfigError | None:
    """What to tell of a page that could not be filled, when it is the user's doing; None when it is ours.

    template: which was to be filled; templates: the user's folder. It is theirs when a line of theirs was being
    worked on, or when they have a template in place of one of ours: then ours may miss what it needs.
    """
    found = _find_line(error, templates)
    if found is None:
        ours = set(os.listdir(site_folder()))
        if not any(name.endswith(".html") and name in ours for name in os.listdir(templates)):
            return None
        found = template, getattr(error, "lineno", None)
    name, line = found
    return ConfigError(f"reports.templates: {name}{f':{line}' if line else ''}: {say_error(error)}")


def _find_line(error: Exception, templates: str) -> tuple[str, int | None] | None:
    """(name, line) of the last line of the user's that was worked on."""
    import jinja2

    if isinstance(error, jinja2.TemplateSyntaxError):
        name = _name_within(templates, error.filename or "")
        return None if name is None else (name, error.lineno)
    found = None
    trace = error.__traceback__
    while trace is not None:
        name = _name_within(templates, trace.tb_frame.f_code.co_filename)
        found = found if name is None else (name, trace.tb_lineno)
        trace = trace.tb_next
    return found


def _name_within(folder: str, path: str) -> str | None:
    begin = os.path.join(os.path.normpath(folder), "")
    return os.path.normpath(path).removeprefix(begin) if os.path.normpath(path).startswith(begin) else None


def say_error(error: Exception) -> str:
    """An exception in one line: what it says, with its kind where it is not made to be read alone."""
    text = " ".join(str(error).split())
    told = isinstance(error, LlamaAgentError) or type(error).__module__.startswith("jinja2")
    return text if told and text else f"{type(error).__name__}: {text}"
