"""Every documented key of llama-swap's config.yaml that has no equal in a profile, and why. Data only.

Source: config.go, config-schema.json and docs/configuration.md of llama-swap, mid-2026.
"""

from __future__ import annotations

_CLIENTS = "there is no proxy here: clients ask each server itself (llamaagent url NAME)"
_INSIDE = "it is about llama-swap's own page, log or memory"

ROOT = {
    "logLevel": _INSIDE,
    "logTimeFormat": _INSIDE,
    "logToStdout": _INSIDE,
    "store": "llama-swap's own history is not read; requests are counted anew from each server's log",
    "metricsMaxInMemory": _INSIDE,
    "captureBuffer": "requests are counted, not kept",
    "performance": "use `interval` of the settings",
    "sendLoadingState": _CLIENTS,
    "includeAliasesInList": _CLIENTS,
    "ui": _INSIDE,
    "upstream": _CLIENTS,
    "peers": "servers of other machines belong to those machines' own profiles",
    "profiles": "pins have no equal: every server has its own address",
    "selectors": "choosing among several models is a proxy's work, and there is none here",
}
ROUTING = {
    "scheduler.use": "the memory of the cards decides, then `priority`",
    "scheduler.settings": "only the priorities are carried over",
    "router.use": "the memory of the cards decides what runs together",
    "router.settings": "the memory of the cards decides what runs together",
}
MODEL = {
    "cmdStop": "the agent stops it itself: SIGTERM, `stop.grace`, SIGKILL, then looks that it is gone",
    "unlisted": _CLIENTS,
    "useModelName": "a llama-server answers to every name",
    "concurrencyLimit": "the server's own `args: {parallel: N}` decides",
    "capabilities": "they are read from the server itself",
    "compat": _CLIENTS,
    "sendLoadingState": _CLIENTS,
    "timeouts": _CLIENTS,
    "filters": "requests are not changed on their way; give the values as the server's own options under `args`",
    "macros": "",  # put into the texts that use them
}
TAKEN_ROOT = (
    *(
        "models",
        "macros",
        "healthCheckTimeout",
        "globalTTL",
        "unloadTimeout",
        "startPort",
        "apiKeys",
        "hooks",
    ),
    *("groups", "matrix", "routing"),
)
TAKEN_MODEL = (
    *(
        "cmd",
        "proxy",
        "checkEndpoint",
        "ttl",
        "unloadTimeout",
        "env",
        "aliases",
        "name",
        "description",
        "metadata",
    ),
)
LOADING = (
    "loading on request ends here: a profile runs all the time or until it is stopped. It is written with "
    "`state: stopped`; start it by `llamaagent start NAME`, or list it under hooks.on_startup.preload"
)
