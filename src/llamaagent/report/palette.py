"""From pixels to PNG files of one byte a pixel, with a palette that drops no rare colour."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

_STEPS = 16
_MOST = 256


def make_palette(drawn: Iterable[str], flat: Iterable[str]) -> Any:
    """Every colour that is drawn, and its way to white in steps: what smoothed edges are made of.

    A palette computed from the picture would drop the rare colours, and those are the marks of crashes. flat: colours
    of surfaces, which have no edges to speak of.
    """
    from PIL import Image

    values = [255, 255, 255]
    for colour in flat:
        values += _parts(colour)
    for colour in dict.fromkeys(drawn):
        for step in range(1, _STEPS + 1):
            values += [round(255 + (part - 255) * step / _STEPS) for part in _parts(colour)]
    image = Image.new("P", (1, 1))
    image.putpalette(values[: 3 * _MOST])
    return image


def _parts(colour: str) -> list[int]:
    return [int(colour[i : i + 2], 16) for i in (1, 3, 5)]


def encode_both(pixels: Any, palette: Any, size: tuple[int, int]) -> tuple[bytes, bytes]:
    """PNG files of half that size and of that size; a third of full colour, and no metadata to vary."""
    from PIL import Image

    large = Image.frombuffer("RGBA", size, pixels, "raw", "RGBA", 0, 1).convert("RGB")
    return _encode(large.reduce(2), palette), _encode(large, palette)


def _encode(image: Any, palette: Any) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    image.quantize(palette=palette, dither=Image.Dither.NONE).save(out, "PNG", compress_level=3)
    return out.getvalue()
