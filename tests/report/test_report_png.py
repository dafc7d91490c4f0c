"""The PNG renderer: pictures of the right size, the same for the same chart, whatever the texts are."""

from __future__ import annotations

import functools
import io
import os
import zoneinfo
from pathlib import Path

import pytest
from PIL import Image, ImageChops

from llamaagent.report.charts import Chart, Event, Limit, Point, Series, make_chart
from llamaagent.report.png import HEIGHT, WIDTH, Renderer

ZONE = zoneinfo.ZoneInfo("Europe/Berlin")
STORED = Path(__file__).parents[1] / "golden" / "report" / "chart.png"
BLUE, RED = (0x00, 0x72, 0xB2), (0xB3, 0x26, 0x1E)


@pytest.fixture(scope="module")
def renderer(tmp_path_factory: pytest.TempPathFactory) -> Renderer:
    return Renderer(ZONE, str(tmp_path_factory.mktemp("fonts")))


def sample(title: str = "Processor", label: str = "installed", gap: bool = True) -> Chart:
    start = 1_795_170_600
    times = [start + n * 150 for n in range(576) if not (gap and 200 <= n < 300)]
    points = tuple(Point(ts, 20.0 + ts % 7, 10.0, 40.0) for ts in times)
    return make_chart(
        "cpu",
        title,
        "%",
        (start, start + 86400),
        (Series(title, 0, points), Series("dots", 1, points[::40], "dots")),
        zone=ZONE,
        longest_s=375,
        limits=(Limit(60.0, label),),
        events=(Event(start + 30_000, "crash", "crashed"), Event(start + 45_000, "start", "started")),
    )


def colours(png: bytes) -> dict[tuple[int, int, int], int]:
    image = Image.open(io.BytesIO(png)).convert("RGB")
    return {colour: count for count, colour in image.getcolors(1 << 24)}  # type: ignore[union-attr,misc]


def test_a_picture_is_a_png_of_twice_the_size_on_the_page(renderer: Renderer) -> None:
    png = renderer.draw(sample())

    image = Image.open(io.BytesIO(png))
    assert (image.format, image.size) == ("PNG", (2 * WIDTH, 2 * HEIGHT))
    assert image.info.keys() <= {"dpi"}
    assert len(png) < 60_000


def test_the_same_chart_gives_the_same_bytes_in_any_renderer_and_order(
    renderer: Renderer, tmp_path: Path
) -> None:
    first = renderer.draw(sample())
    other = renderer.draw(sample("Another", gap=False))
    again = Renderer(ZONE, str(tmp_path / "fonts")).draw(sample())

    assert first == renderer.draw(sample()) == again
    assert first != other


def test_line_and_crash_keep_their_colours(renderer: Renderer) -> None:
    found = colours(renderer.draw(sample()))

    assert found[BLUE] > 500
    assert found[RED] > 20
    assert max(found, key=lambda colour: found[colour]) == (255, 255, 255)


def difference(png: bytes, other: bytes) -> float:
    """The share of pixels whose colours differ by more than a sixth of all there is, in percent."""
    one, two = (Image.open(io.BytesIO(data)).convert("RGB") for data in (png, other))
    assert one.size == two.size
    channels = ImageChops.difference(one, two).split()
    worst = functools.reduce(ImageChops.lighter, channels)
    return 100 * sum(worst.histogram()[43:]) / (one.width * one.height)


def test_a_picture_looks_as_it_did(renderer: Renderer, pytestconfig: pytest.Config) -> None:
    """Laid over the stored one; look at both before you write it anew (--update-golden)."""
    png = renderer.draw(sample())
    if pytestconfig.getoption("--update-golden"):
        STORED.write_bytes(png)
    stored = STORED.read_bytes()
    assert difference(png, stored) < 0.05
    for other in (sample(title="Memory"), sample(label="in all"), sample(gap=False)):
        assert difference(renderer.draw(other), stored) > 0.05


def test_texts_are_drawn_as_they_are(renderer: Renderer) -> None:
    """No formula, no hidden legend entry, no failure over a glyph that no font has."""
    for text in (r"$\frac{1}{", "_hidden", "\U0001f999 glyph \x1b[31m", "x" * 300, ""):
        assert renderer.draw(sample(text, text)).startswith(b"\x89PNG")


def test_a_folder_that_cannot_be_made_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    assert Renderer(ZONE, str(tmp_path / "file" / "fonts")).draw(sample()).startswith(b"\x89PNG")
    assert os.listdir(tmp_path) == ["file"]
