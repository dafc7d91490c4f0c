"""llamaagent: llama-server instances declared in YAML, kept running, recorded in SQLite, reported as static pages.

Importing this package costs nothing. For programs: `llamaagent.open_store()`, `llamaagent.DatabaseHandler`
(docs/python.md), `llamaagent.complete()` and what belongs to it (docs/generations.md).
"""

__version__ = "0.1.0"
__all__ = [
    "LLM", "DatabaseHandler", "__version__", "cached", "chat", "complete", "configure_db", "get_db", "history",
    "open_store",
]  # fmt: skip

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.library.asking import LLM, chat, complete, configure_db, get_db, history
    from llamaagent.library.cached import cached
    from llamaagent.library.handler import DatabaseHandler
    from llamaagent.library.opening import open_store

_ASKING = ("LLM", "chat", "complete", "configure_db", "get_db", "history")
_PLACES = {"open_store": "opening", "DatabaseHandler": "handler", "cached": "cached"} | dict.fromkeys(
    _ASKING, "asking"
)


def __getattr__(name: str) -> object:
    """Give what programs use, loaded when it is asked for."""
    if name not in _PLACES:
        raise AttributeError(f"module 'llamaagent' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"llamaagent.library.{_PLACES[name]}"), name)
