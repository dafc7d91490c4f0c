"""The methods of cyllama's one class, by their names; each is one of a repository's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llamaagent.library.keyvalues import ConfigRepository
    from llamaagent.library.logs import LogsRepository
    from llamaagent.library.readers import StatsRepository
    from llamaagent.library.when import When


class ByName:
    """For programs that come from there: `store.get_config(key)` is `store.config.get(key)`."""

    config: ConfigRepository
    stats: StatsRepository
    logs: LogsRepository

    def get_config(self, key: str, default: Any = None) -> Any:
        """`config.get`."""
        return self.config.get(key, default)

    def set_config(self, key: str, value: Any) -> None:
        """`config.set`."""
        self.config.set(key, value)

    def get_all_config(self) -> dict[str, Any]:
        """`config.all`."""
        return self.config.all()

    def record_generation(
        self, model_path: str, response: object = None, config: object = None, cache_hit: bool = False
    ) -> None:
        """`stats.record_generation`."""
        self.stats.record_generation(model_path, response, config, cache_hit)

    def get_stats_summary(
        self, model_path: str | None = None, since: When | None = None, until: When | None = None
    ) -> dict[str, Any]:
        """`stats.get_summary`."""
        return self.stats.get_summary(model_path, 0 if since is None else since, until)

    def get_generation_history(
        self, limit: int = 100, offset: int = 0, model_path: str | None = None
    ) -> list[dict[str, Any]]:
        """`stats.get_history`."""
        return self.stats.get_history(limit, offset, model_path)

    def log(
        self,
        level: str,
        message: str,
        category: str | None = None,
        context: Mapping[str, Any] | None = None,
        error: BaseException | None = None,
    ) -> None:
        """`logs.add`."""
        self.logs.add(level, message, category=category, context=context, error=error)

    def get_logs(
        self,
        level: str | None = None,
        category: str | None = None,
        since: When | None = None,
        limit: int = 100,
    ) -> list[dict[str, Any]]:
        """`logs.search`."""
        since = 0 if since is None else since
        return self.logs.search(level=level or "debug", category=category, since=since, limit=limit)
