"""A server's refusals in plain words, each with its exit code and what to do."""

from __future__ import annotations

from typing import Any

from llamaagent.base.errors import BadInputError, ConfigError, LlamaAgentError, ServiceUnavailableError


def refusal(status: int, answer: object) -> LlamaAgentError:
    """The error that an answer other than 200 is. status 0: told in the middle of a stream, with its code within."""
    error = answer.get("error") if isinstance(answer, dict) else None
    told = error if isinstance(error, dict) else {}
    code = told.get("code")
    status = status or (code if isinstance(code, int) else 500)
    message = str(told.get("message") or error or "no reason given").strip()[:500]
    if status == 503:
        if "loading" in message.lower():
            return ServiceUnavailableError("the server still loads its model", hint="try again in a moment")
        return ServiceUnavailableError(f"the server is not ready to answer: {message}")
    if status in {401, 403}:
        return ConfigError(
            f"the server wants another API key ({status}: {message})",
            hint="check `secrets: {api-key: ...}` of the profile, and that its server was started since it changed",
        )
    if status == 400:
        return BadInputError(f"the server does not take the request: {message}", hint=_hint(told))
    if status in {404, 501}:
        return BadInputError(f"this server does not offer that: {message}")
    if "image" in message or "multimodal" in message:
        return BadInputError(f"the server does not take the request: {message}", hint="args: {mmproj: FILE}")
    return ServiceUnavailableError(f"the server failed ({status}): {message}", hint="llamaagent logs NAME")


def _hint(told: dict[str, Any]) -> str | None:
    needed, room = told.get("n_prompt_tokens"), told.get("n_ctx")
    if isinstance(needed, int) and isinstance(room, int):
        return (
            f"the prompt has {needed} tokens, a slot has room for {room}: raise ctx-size, or lower parallel"
        )
    if "multimodal" in str(told.get("message")):
        return "args: {mmproj: FILE}"
    return None
