# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""The plots of an overhead.json, as a script for gnuplot that writes SVG to its standard output."""

import itertools

from figures import Undefined, estimate
from overhead_tables import point_text
from samples import SUBJECTS, Comparison, Growth, Snapshot, Split
from wording import plain

WIDTH = 1200
WIDE_HEIGHT = 460
PANEL_HEIGHT = 340
# The same subject looks the same in every plot.
OWN = {"floor": "#666666", "count": "#0b6e4f", "socktrace count": "#0b6e4f", "full": "#08415c",
       "socktrace full": "#08415c"}
COLOURS = ("#e07a1f", "#c1292e", "#8e44ad", "#b8860b", "#d16ba5", "#7f5539", "#5c80bc")


def quoted(text):
    """A string that gnuplot takes as it is: nothing is substituted between single quotes."""
    return "'" + plain(text).replace("'", "''") + "'"


def points(values):
    """[(position, median, low, high)] of [(position, function that gives a series)]."""
    found = []
    for position, series in values:
        try:
            e = estimate(series())
        except Undefined:
            continue
        found.append((position, e.median, *((e.median, e.median) if e.low is None
                                            else (e.low, e.high))))
    return found


def tics(axis, names):
    places = ", ".join(f"{quoted(name)} {i}" for i, name in enumerate(names))
    return f"set {axis}tics ({places}) noenhanced"


def curves(named, style, columns="1:2:3:4"):
    """Data blocks and the plot command of {name: points}; None without any."""
    blocks, plots = [], []
    colours = itertools.cycle(COLOURS)
    for i, (name, found) in enumerate((n, f) for n, f in named.items() if f):
        rows = "\n".join(" ".join(f"{x:.9g}" for x in point) for point in found)
        blocks.append(f"$curve{i} << END_OF_DATA\n{rows}\nEND_OF_DATA")
        plots.append(f"$curve{i} using {columns} with {style} lw 1.5 pt {4 + i} ps 0.7 "
                     f"lc rgb '{OWN.get(name) or next(colours)}' title {quoted(name)} noenhanced")
    return "\n".join([*blocks, "plot " + ", \\\n     ".join(plots)]) if plots else None


def panel(title, settings, named, style="yerrorbars", columns="1:2:3:4"):
    plot = curves(named, style, columns)
    return plot and "\n".join([f"set title {quoted(title)} noenhanced", *settings, plot])


def throughput(report):
    c = Comparison(report)
    tracers = [t for t in c.tracers if t != "untraced"]
    step = 0.8 / max(1, len(tracers))
    named = {t: points([(i + step * (j - (len(tracers) - 1) / 2), lambda l=load, t=t: c.kept(l, t))
                        for i, load in enumerate(c.loads)])
             for j, t in enumerate(tracers)}
    return panel("Throughput kept: ratio to untraced, median and 95 % interval",
                 [tics("x", c.loads), f"set xrange [-0.5:{len(c.loads) - 0.5}]", "set logscale y",
                  "set yrange [*:2]", "set key outside right", "set grid ytics",
                  "set arrow 1 from graph 0, first 1 to graph 1, first 1 nohead dt 2"], named)


def growth(report, axis):
    g = Growth(report)
    at = g.points(axis)
    named = {detail: points([(i, lambda x=x, d=detail: g.relative_cost(axis, x, d))
                             for i, x in enumerate(at)]) for detail in SUBJECTS}
    return panel(f"r against {axis}",
                 [tics("x", [point_text(x) for x in at]), f"set xrange [-0.5:{len(at) - 0.5}]",
                  "set yrange [0:*]", "set key bottom right", "set grid ytics"],
                 named, "yerrorlines")


def snapshot(report):
    s = Snapshot(report)
    named = {}
    for axis, n in s.points():
        if n:  # the scale is logarithmic
            named.setdefault(f"rows of {axis}", []).extend(
                points([(n, lambda a=axis, n=n: in_ms(s.series((a, n), "ns")))]))
    return panel("A report, ms, against rows", ["set logscale xy", "set key top left", "set grid"],
                 named, "yerrorlines")


def in_ms(series):
    return {r: ns / 1e6 for r, ns in series.items()}


def split(report, load):
    s = Split(report)
    steps = s.steps(load)[::-1]
    named = {"step": points([(i, lambda step=step: s.ns(load, step))
                             for i, step in enumerate(steps)])}
    return panel(f"Where the time goes: {load}, ns",
                 [tics("y", steps), f"set yrange [-0.5:{len(steps) - 0.5}]", "set xrange [0:*]",
                  "set key off", "set grid xtics"], named, "xerrorbars", "2:1:3:4")


def panels(report):
    """Those of sections that were run, without the first."""
    yield from (growth(report, axis) for axis in Growth(report).axes)
    yield snapshot(report)
    yield from (split(report, load) for load in Split(report).loads())


def script(report):
    first = throughput(report)
    rest = [p for p in panels(report) if p]
    wide = WIDE_HEIGHT if first else 0
    height = wide + PANEL_HEIGHT * -(-len(rest) // 2)
    if not height:
        raise Undefined("no samples to plot")
    placed = [(first, 0, 0, WIDTH, wide)] if first else []
    placed += [(p, i % 2 * WIDTH // 2, wide + i // 2 * PANEL_HEIGHT, WIDTH // 2, PANEL_HEIGHT)
               for i, p in enumerate(rest)]
    lines = ["set encoding utf8",
             f"set terminal svg size {WIDTH},{height} noenhanced font 'sans-serif,12' "
             "background '#ffffff'",
             "set multiplot"]
    for commands, x, y, w, h in placed:
        lines += ["reset", f"set size {w / WIDTH:.6f}, {h / height:.6f}",
                  f"set origin {x / WIDTH:.6f}, {1 - (y + h) / height:.6f}", commands]
    return "\n".join([*lines, "unset multiplot", ""])
