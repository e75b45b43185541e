# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""How the benchmarks' figures and what came from outside are written, on one line and in tables."""

import math
import unicodedata

from figures import Undefined, estimate

NONE = "—"
ESCAPED = set("\\`*_[]<|#~&@$")


def plain(text):
    """On one line, and without what could do harm where it is shown."""
    text = " ".join(str(text).split())
    return "".join(f"\\u{ord(c):04x}" if unicodedata.category(c)[0] == "C" else c for c in text)


def markdown(text):
    escaped = "".join(f"\\{c}" if c in ESCAPED else c for c in plain(text))
    return escaped.replace("://", "\\://")  # no link


def table(head, rows):
    """Every cell is escaped here, and nowhere else. Columns that no row fills are left out."""
    rows = [["" if cell is None else cell for cell in row] for row in rows]
    if not rows:
        return ""
    kept = [i for i in range(len(head)) if i == 0 or any(r[i] not in ("", NONE) for r in rows)]
    lines = [[markdown(row[i]) for i in kept] for row in [head, *rows]]
    lines.insert(1, ["---"] * len(kept))
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def number(x):
    """Three digits that count."""
    if x == 0 or not math.isfinite(x):
        return f"{x:g}"
    return f"{x:,.{max(0, 2 - math.floor(math.log10(abs(x))))}f}"


def scaled(units):
    """A writer of estimates in the largest of @units, [(unit, size)], that the median reaches."""
    def write(e):
        unit, size = max((u for u in units if u[1] <= abs(e.median)), default=units[0],
                         key=lambda u: u[1])
        return with_interval(e, lambda x: number(x / size), f" {unit}")
    return write


def with_interval(e, write=number, unit=""):
    """No brackets: too few rounds, or all of the middle ones gave the same."""
    ends = "" if e.low is None or e.low == e.high else f" ({write(e.low)} to {write(e.high)})"
    return f"{write(e.median)}{unit}{ends}"


in_ns = scaled([("ns", 1), ("µs", 1e3), ("ms", 1e6), ("s", 1e9)])
in_bytes = scaled([("B", 1), ("KiB", 2**10), ("MiB", 2**20), ("GiB", 2**30)])


def writer_of(name):
    """By the unit that the figure's name ends in."""
    return in_ns if name.endswith("_ns") else in_bytes if name.endswith("_bytes") else with_interval


def shown(series, write=with_interval):
    """@series: a function that gives one; what it cannot give is said in its place."""
    try:
        values = series()
        return write(estimate(values)) if values else NONE
    except Undefined as why:
        return f"none: {why}"
