# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""The tables that overhead_report.py makes of an overhead.json. Text in, text out."""

import figures
from figures import NoSamples, Undefined, estimate
from samples import SUBJECTS, Comparison, Encoding, Growth, Snapshot, Split
from wording import NONE, in_bytes, in_ns, markdown, number, shown, table, with_interval, writer_of


# --- comparison ---------------------------------------------------------------------------------


def counts_text(comparison, load, tracer):
    try:
        counts = comparison.counts(load, tracer)
    except NoSamples:
        return NONE
    except Undefined as why:
        return f"none: {why}"
    failed = sum(len(r) for r in comparison.failures((load, tracer)).values())
    of_all = f" in {counts.rounds}, failed in {failed}" if failed else ""
    if counts.is_exact:
        return f"exact{of_all}"
    return f"{share(counts.share)} ({share(counts.lowest)} to {share(counts.highest)}){of_all}"


def share(x):
    """Never 1 for what is not."""
    if x == 1:
        return "1"
    return next((text for digits in range(4, 16) if float(text := f"{x:.{digits}f}") != 1), repr(x))


def load_table(c, load):
    columns = {
        "throughput kept": lambda t: shown(lambda: c.kept(load, t)),
        "of the floor's": lambda t: shown(lambda: {} if t == "untraced" else
                                          c.kept(load, t, "floor")),
        "p99, to untraced": lambda t: shown(lambda: c.p99(load, t)),
        "added per call": lambda t: shown(lambda: c.added(load, t), in_ns),
        "r": lambda t: shown(lambda: c.relative_cost(load, t)),
        "CPU time of the tool": lambda t: shown(lambda: c.series((load, t), "tool_cpu_ns"), in_ns),
        "its share of a CPU, %": lambda t: shown(lambda: c.cpu_share(load, t)),
        "memory of the tool": lambda t: shown(lambda: c.series((load, t), "tool_rss_bytes"),
                                               in_bytes),
        "start to tracing": lambda t: shown(lambda: c.series((load, t), "start_ns"), in_ns),
        "counted / made": lambda t: counts_text(c, load, t),
    }
    rows = []
    for tracer in c.tracers:
        if (load, tracer) in c.cells:
            rows.append([tracer, *(["failed"] + [NONE] * (len(columns) - 1)
                                   if c.has_failed(load, tracer) else
                                   [column(tracer) for column in columns.values()])])
    return table(["tracer", *columns], rows)


def untraced_text(c, load):
    cell = (load, "untraced")
    said = [shown(lambda: c.series(cell, "ns_per_call"), in_ns) + " per call",
            shown(lambda: c.series(cell, "per_s")) + " per second",
            "p99 " + shown(lambda: c.series(cell, "p99_ns"), in_ns)]
    said = "; ".join(s for s in said if NONE not in s)
    return f"Untraced: {markdown(said or 'nothing was measured')}.\n"


def comparison_tables(report):
    c = Comparison(report)
    return "\n".join(f"### {markdown(load)}\n\n{untraced_text(c, load)}\n{load_table(c, load)}"
                     for load in c.loads)


def counts_of_all(c, tracer):
    """Over all loads of which the truth is known."""
    exact = told = 0
    for load in c.loads:
        text = counts_text(c, load, tracer)
        told += text != NONE
        exact += text == "exact"
    return f"{exact} of {told} exact" if told else NONE


def summary(report):
    """Throughput kept: tracers x loads."""
    c = Comparison(report)
    rows = [[tracer, *("failed" if c.has_failed(load, tracer) else
                       shown(lambda: c.kept(load, tracer)) for load in c.loads),
             counts_of_all(c, tracer)]
            for tracer in c.tracers if tracer != "untraced"]
    return table(["tracer", *c.loads, "counts"], rows)


def rankings(report):
    c = Comparison(report)
    rows = []
    for load in c.loads:
        kept = {t: c.kept(load, t) for t in c.tracers if t != "untraced"}
        kept["untraced"] = {number: 1.0 for number in c.speed(load, "untraced")}
        order = figures.ranking(kept)
        line = "".join(f"{' > ' if told else ' = ' if i else ''}{name}"
                       for i, (name, told) in enumerate(order))
        rows.append([load, line])
    return table(["load", "order"], rows)


# --- what did not run -----------------------------------------------------------------------------

def failures_of(samples, who):
    """Rows of the table: the reasons of each subject, with all the places where it failed.

    who(cell): (subject, place) of a cell.
    """
    reasons = {}
    for cell in samples.cells:
        subject, place = who(cell)
        for reason, rounds in samples.failures(cell).items():
            places = reasons.setdefault((subject, reason), {})
            places[place] = places.get(place, 0) + len(rounds)
    for (subject, reason), places in sorted(reasons.items()):
        yield [subject, ", ".join(sorted(places)),
               f"{sum(places.values())} of {samples.rounds * len(places)} rounds", reason]


def problems(report):
    rows = [[tool["name"], "all", "absent", tool["absent"]]
            for tool in report["tools"] if tool["absent"]]
    rows += failures_of(Comparison(report), lambda cell: (cell[1], cell[0]))
    rows += failures_of(Growth(report), lambda cell: (
        SUBJECTS.get(cell[2], cell[2]), f"growth, {cell[0]} {point_text(cell[1])}"))
    rows += failures_of(Snapshot(report), lambda cell: (
        "snapshot", f"{cell[0]} {point_text(cell[1])}"))
    rows += failures_of(Split(report), lambda cell: (cell[1], f"split, {cell[0]}"))
    rows += failures_of(Encoding(report), lambda cell: (cell[1], f"encoding, {cell[0]}"))
    if not rows:
        return "Every tool was there, and ran in every round.\n"
    return table(["what", "where", "missing", "reason"], rows)


# --- targets --------------------------------------------------------------------------------------

# Those that tell how long calls took, as full detail does.
PEERS = ("bpftrace", "syscount -L", "perf trace", "strace", "strace --seccomp-bpf")


def verdict(e, claim):
    word = "met" if claim(e.median) else "missed"
    if e.low is None:
        return f"{word} (too few rounds to be sure)"
    return word if e.holds(claim) or e.holds(lambda x: not claim(x)) else f"{word} (not sure)"


def target_row(name, where, series, claim):
    try:
        values = series()
        if not values:
            return [name, where, NONE, "not measured"]
        e = estimate(values)
    except Undefined as why:
        return [name, where, f"none: {why}", "not measured"]
    return [name, where, with_interval(e), verdict(e, claim)]


def at_most(limit):
    return lambda x: x <= limit


def at_least(limit):
    return lambda x: x >= limit


def cheapest_peer(c):
    """The peer that adds least to getppid(2), by the median."""
    costs = {}
    for peer in PEERS:
        series = c.added("getppid", peer)
        if series:
            costs[peer] = estimate(series).median
    return min(costs, key=costs.get) if costs else None


def counts_target(c):
    cells = [(load, tracer) for tracer in SUBJECTS.values() for load in c.loads]
    said = {cell: counts_text(c, *cell) for cell in cells}
    unknown = sorted({load for load, tracer in cells if not c.series((load, tracer), "truth_calls")
                      and not c.failures((load, tracer))})
    wrong = [cell for cell, text in said.items()
             if text != "exact" and (text != NONE or c.failures(cell))]
    exact = sum(text == "exact" for text in said.values())
    figure = f"{exact} of {exact + len(wrong)} exact"
    if wrong:
        figure += "; not: " + ", ".join(f"{tracer} at {load}" for load, tracer in wrong)
    if unknown:
        figure += "; no truth: " + ", ".join(unknown)
    return ["calls counted = calls made", "every load, both details", figure,
            "missed" if wrong else "met" if exact else "not measured"]


def target_rows(c):
    full, count = SUBJECTS["full"], SUBJECTS["count"]
    yield target_row("r ≤ 1.5", f"getppid, {full}",
                     lambda: c.relative_cost("getppid", full), at_most(1.5))
    yield target_row("r ≤ 0.7", f"getppid, {count}",
                     lambda: c.relative_cost("getppid", count), at_most(0.7))
    for subject in (full, count):
        yield target_row("r ≤ 1.05", f"bystander, {subject}",
                         lambda s=subject: c.relative_cost("bystander", s), at_most(1.05))
    for load in c.loads:
        for subject in (full, count):
            yield target_row("throughput ≥ 0.97 of the floor's", f"{load}, {subject}",
                             lambda l=load, s=subject: c.kept(l, s, "floor"), at_least(0.97))
    yield counts_target(c)
    peer = cheapest_peer(c)
    yield target_row("adds ≤ 1/2 of what the cheapest peer adds: peer / socktrace full ≥ 2",
                     f"getppid, {peer or 'no peer ran'}",
                     lambda: c.relative_cost("getppid", peer, full) if peer else {}, at_least(2))


def targets(report):
    c = Comparison(report)
    return table(["target", "where", "figure", "result"], target_rows(c))


# --- growth and snapshot --------------------------------------------------------------------------

def point_text(x):
    return "none" if x is None else f"{x:,}" if isinstance(x, int) else str(x)


def growth_table(g, axis):
    more = g.more(axis)
    rows = []
    for x in g.points(axis):
        rows.append([
            point_text(x),
            shown(lambda: g.call_ns(axis, x, "untraced"), in_ns),
            shown(lambda: figures.added(g.call_ns(axis, x, "floor"),
                                        g.call_ns(axis, x, "untraced")), in_ns),
            *(shown(lambda: g.relative_cost(axis, x, subject)) for subject in SUBJECTS),
            *(shown(lambda: g.series((axis, x, "full"), name), writer_of(name)) for name in more),
        ])
    titles = [name.replace("_bytes", "").replace("_ns", "").replace("_", " ") for name in more]
    return table([axis, "a call, untraced", "the floor adds", *(f"r, {s}" for s in SUBJECTS),
                  *(f"full: {title}" for title in titles)], rows)


def growth(report):
    g = Growth(report)
    return "\n".join(growth_table(g, axis) for axis in g.axes)


def growth_ends(report):
    """r at the far end of each axis, as a share of r at its beginning."""
    g = Growth(report)
    rows = []
    for axis in g.axes:
        points = g.points(axis)
        ends = points[0], points[-1]
        rows.append([axis, *(point_text(x) for x in ends), *(
            shown(lambda: figures.ratio(*(g.relative_cost(axis, x, subject) for x in ends[::-1])))
            for subject in SUBJECTS)])
    return table(["axis", "from", "to", *(f"r, {s}: at the end / at the beginning"
                                          for s in SUBJECTS)], rows)


def snapshot(report):
    s = Snapshot(report)
    rows = []
    for axis, n in s.points():
        row = [axis or "", point_text(n)]
        for form in ("", "json_"):
            ns = s.series((axis, n), f"{form}ns")
            row += [shown(lambda: ns, in_ns),
                    shown(lambda: {r: value / n for r, value in ns.items()} if n else {}, in_ns),
                    shown(lambda: s.series((axis, n), f"{form}bytes"), in_bytes)]
        rows.append(row)
    return table(["rows of", "rows", "shortest text: takes", "text: per row", "text: size",
                  "JSON: takes", "JSON: per row", "JSON: size"], rows)


# --- split ----------------------------------------------------------------------------------------

def split_table(s, load):
    rows = []
    for step in s.steps(load):
        before = s.before(load, step)
        rows.append([
            step,
            shown(lambda: s.ns(load, step), in_ns),
            shown(lambda: s.more_than(load, step, before) if before else {}, in_ns),
            *(shown(lambda: {} if step in ("untraced", other) else s.more_than(load, step, other),
                    in_ns) for other in ("untraced", "empty")),
            shown(lambda: s.relative_cost(load, step))])
    return table([f"step ({load})", "takes", "more than the step before", "more than untraced",
                  "more than empty programs", "r"], rows)


def split(report):
    s = Split(report)
    return "\n".join(split_table(s, load) for load in s.loads())


# --- encoding -------------------------------------------------------------------------------------

FORMATS = ("fold", "text", "md", "json", "csv", "read-json")


def encoding(report):
    e = Encoding(report)
    builds = e.names("build", ("plain",))
    rows = []
    for form in e.names("format", FORMATS):
        plain_ns = e.per_row("plain", form, "ns")
        rows.append([form, shown(lambda: e.series(("plain", form), "rows")),
                     shown(lambda: e.per_row("plain", form, "bytes")),
                     shown(lambda: {r: 1e9 / ns for r, ns in plain_ns.items()}),
                     *(shown(lambda: e.per_row(build, form, "ns"), in_ns) for build in builds),
                     *(shown(lambda: figures.ratio(plain_ns, e.per_row(build, form, "ns")))
                       for build in builds if build != "plain")])
    return table(["step", "rows", "bytes per row", "rows per second",
                  *(f"a row, {build}" for build in builds),
                  *(f"{build}: times as fast as plain" for build in builds if build != "plain")],
                 rows)


# --- where and how --------------------------------------------------------------------------------

def machine(report):
    made, where = report["made"], report["machine"]
    dirty = "" if made["is_clean"] else "-dirty"
    sections = ", ".join(f"{name} {section['rounds']}"
                         for name, section in sorted(report["sections"].items()))
    rows = [
        ["CPU", f"{where['cpu']}, {where['cpus']} of them"],
        ["memory", in_bytes(figures.Estimate(where["memory_bytes"], None, None, 1))],
        ["virtual machine", where["virtualization"] or "no"],
        ["kernel", where["kernel"]],
        ["kernel.bpf_stats_enabled", where["bpf_stats_enabled"]],
        ["socktrace", f"{made['version']}, commit {made['commit']}{dirty}, {made['compiler']}"],
        ["begun", f"{made['started']}, took {number(made['seconds'])} s"],
        ["rounds", sections],
        ["seed", report["seed"]],
    ]
    warning = ("A quick run: it shows that the benchmarks work, not what tracing costs.\n\n"
               if report["quick"] else "")
    return warning + table(["what", "was"], rows)


def tools(report):
    return table(["tool", "version", "Debian package"],
                 [[t["name"], "absent" if t["absent"] else t["version"], t["package"]]
                  for t in report["tools"]])


# name: (title, function). Those without samples are left out of overhead.md.
BLOCKS = {
    "machine": ("The run", machine),
    "tools": ("Tools", tools),
    "summary": ("Throughput kept", summary),
    "ranking": ("Order", rankings),
    "targets": ("Targets", targets),
    "problems": ("What did not run", problems),
    "comparison": ("Each load", comparison_tables),
    "growth-ends": ("Growth, end to end", growth_ends),
    "growth": ("Growth", growth),
    "snapshot": ("A snapshot", snapshot),
    "split": ("Where the time goes", split),
    "encoding": ("Encoding a report", encoding),
}
