"""What is asked: a prompt or a conversation with its options, and the request that this becomes."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    Message = Mapping[str, Any]  # role, content


class Image(NamedTuple):
    """An image file's bytes and their kind, such as image/png."""

    data: bytes
    kind: str = "image/png"


class Ask(NamedTuple):
    """One request. A conversation when there are messages, else a prompt that is continued as it stands.

    settings: fields of the request, as `settings_of` makes them. n: how many answers.
    """

    prompt: str = ""
    messages: tuple[Message, ...] | None = None
    settings: Mapping[str, Any] = {}
    images: tuple[Image, ...] = ()
    n: int = 1

    @property
    def path(self) -> str:
        """The endpoint."""
        return "/completion" if self.messages is None else "/v1/chat/completions"

    @property
    def wants_marker(self) -> bool:
        """Whether the server must be asked first by which mark it knows the places of images."""
        return self.messages is None and bool(self.images)

    @property
    def question(self) -> str:
        """The text by which people know it: the prompt, or what the user said last."""
        if self.messages is None:
            return self.prompt
        said = [text_of(m) for m in self.messages if m.get("role") == "user"]
        return said[-1] if said else ""

    @property
    def transcript(self) -> str:
        """The whole of it, to be read by people."""
        if self.messages is None:
            return self.prompt
        return "\n".join(f"{m.get('role')}: {text_of(m)}" for m in self.messages)

    def body(self, marker: str | None = None) -> dict[str, Any]:
        """The request, to be answered as a stream. marker: where an image stands in a prompt."""
        made: dict[str, Any] = dict(self.settings)
        made["stream"] = True
        if self.n > 1:
            made["n"] = self.n
        if self.messages is None:
            made["prompt"] = _prompt(self.prompt, self.images, marker or "")
            return made
        if "n_predict" in made:
            made["max_tokens"] = made.pop("n_predict")
        made["messages"] = _with_images(self.messages, self.images)
        return made


def text_of(message: Message) -> str:
    """The words of a message, whose content may be made of parts."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, (list, tuple)) else ()
    return "\n".join(str(part["text"]) for part in parts if isinstance(part, dict) and "text" in part)


def _prompt(prompt: str, images: tuple[Image, ...], marker: str) -> str | dict[str, Any]:
    if not images:
        return prompt
    data = [base64.b64encode(image.data).decode() for image in images]
    return {"prompt_string": f"{marker}\n" * len(images) + prompt, "multimodal_data": data}


def _with_images(messages: tuple[Message, ...], images: tuple[Image, ...]) -> list[Message]:
    """The messages, the last of which carries the images."""
    if not images or not messages:
        return list(messages)
    last = messages[-1]
    parts: list[dict[str, Any]] = [
        {
            "type": "image_url",
            "image_url": {"url": f"data:{image.kind};base64,{base64.b64encode(image.data).decode()}"},
        }
        for image in images
    ]
    parts.append({"type": "text", "text": text_of(last)})
    return [*messages[:-1], {**last, "content": parts}]
