"""How much `db salvage` brings out of a damaged database: rows saved over rows present, for 200 random damages.

Each is done to a fresh copy of a real file with rows in every table, and what comes out is compared row by row with
what was in the file before. Run it with `make bench-salvage`; ARGS is the number of damages and the seed.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests" / "store")]

from damage import KINDS, PAGE, attempt, build  # noqa: E402


def main() -> int:
    """Print a line for each kind of damage and one for all that leave the file its length."""
    times = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    rng = random.Random(seed)  # noqa: S311 - a bench is to be repeatable
    with tempfile.TemporaryDirectory() as name:
        origin_path, folder = Path(name) / "origin.db", Path(name) / "work"
        folder.mkdir()
        kept = build(origin_path)
        origin = origin_path.read_bytes()
        print(
            f"{len(origin) // PAGE} pages, {sum(map(len, kept.values()))} rows; {times} damages, seed {seed}"
        )
        begun = time.monotonic()
        outcomes = []
        for number in range(times):
            outcomes.append(attempt(origin, kept, folder, KINDS[number % len(KINDS)], rng))
            if sys.stderr.isatty():
                print(f"\r{number + 1}/{times}", end="", file=sys.stderr, flush=True)
        spent = time.monotonic() - begun
    print(
        f"\n{'damage':<10}{'times':>7}{'saved/present':>20}{'mean':>10}{'worst':>10}{'page':>7}{'changed':>9}"
    )
    for kind in (*KINDS, "pages"):
        some = [one for one in outcomes if kind == one.kind or (kind == "pages" and one.kind != "cut")]
        if not some:
            continue
        saved, present = sum(one.saved for one in some), sum(one.present for one in some)
        worst = min(some, key=lambda one: one.saved)
        print(
            f"{kind:<10}{len(some):>7}{f'{saved}/{present}':>20}{saved / present:>10.4%}"
            f"{worst.saved / worst.present:>10.2%}{worst.page:>7}{sum(one.changed for one in some):>9}"
        )
    unsaid = [(one.kind, one.page, *one.unsaid) for one in outcomes if one.unsaid]
    print(f"\ntables that lost rows and were called whole: {unsaid or 'none'}")
    print(
        "cut: the file ends before the page, and what was behind it is in no file any more; pages: all the others"
    )
    print("changed: rows whose own bytes were hit, and that the schema still allows")
    print(f"{spent / times:.2f} s each")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
