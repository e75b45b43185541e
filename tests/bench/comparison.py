# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""Section "comparison": every tracer under every load, once in each round, in an order of its own.

A cell is a new target, the tracer attached to it, the load, the end of the target, the end of the
tracer. Where the tool must start its target itself, it does.
"""

import collections
import statistics
import tempfile
import time

import loads
import tracers
from tracers import Failed

ROUNDS = 6  # the fewest of which the median has an interval of 95 %
FIGURES = ("ns_per_call", "per_s", "p99_ns", "truth_calls", "counted_calls", "tool_cpu_ns",
           "tool_rss_bytes", "start_ns", "duration_ns", "wall_ns")


# --- a cell -------------------------------------------------------------------------------------

def own_programs(context):
    return {"SOCKTRACE": context.socktrace, "FLOOR": f"{context.bench}/bench-floor"}


class Cell:
    def __init__(self, context, load, tracer, folder):
        self.ours = own_programs(context)
        self.load, self.tracer, self.folder = load, tracer, folder
        self.figures = dict.fromkeys(FIGURES)
        self.target = self.tool = None

    def run(self):
        try:
            self.start()
            self.measure()
        finally:
            if self.tool:
                self.tool.abandon()
            if self.target:
                self.load.close(self.target)

    def start(self):
        starts = self.tracer.starts_target
        self.target = self.load.start(self.folder, self.tracer if starts else None, self.ours)
        if starts:
            self.tool = self.target.tool
            self.tool.check_filter()
        elif self.tracer is not tracers.UNTRACED:
            self.tool = self.tracer.attach(self.ours, self.target.pid, self.load.names, self.folder)
            self.figures["start_ns"] = self.tool.await_ready()

    def measure(self):
        self.load.before(self.target)
        self.figures |= self.load.drive(self.target, self.folder)
        if self.tool:
            self.tool.note_use()
        self.figures["truth_calls"] = self.load.finish(self.target)
        self.figures |= self.load.late_figures()
        if self.tool:
            self.figures |= self.tool.finish(self.load.names)


def measure(context, load, tracer):
    """(figures, None or why they are not there)"""
    began = time.monotonic_ns()
    failed = None
    with tempfile.TemporaryDirectory(prefix="overhead-") as folder:
        cell = Cell(context, load, tracer, folder)
        try:
            cell.run()
        except Failed as why:
            failed = str(why)
        # A process was gone that should be there; something printed what nobody expected.
        except (OSError, LookupError, ValueError, TypeError, AttributeError) as why:
            failed = f"{type(why).__name__}: {why}"
    if cell.figures["truth_calls"] and cell.figures["counted_calls"] == 0:
        failed = f"traced none of {cell.figures['truth_calls']:,} calls"
    return cell.figures | {"wall_ns": time.monotonic_ns() - began}, failed


# --- all of them --------------------------------------------------------------------------------

def missing(programs):
    return [names[0] for names, *_ in programs if not tracers.find(names)]


def all_cells(context):
    """What there is on this machine; what is not is said, and listed in the report's tools."""
    chosen = []
    for load in loads.all_loads(context):
        if missing(load.programs):
            context.say(f"comparison: load {load.name} is left out: no {missing(load.programs)}")
            continue
        chosen.append(load)
    there = []
    for tracer in tracers.TRACERS:
        if tracer.programs and not tracer.program():
            context.say(f"comparison: {tracer.name} is left out: no {' or '.join(tracer.programs)}")
            continue
        there.append(tracer)
    return [(load, tracer) for load in chosen for tracer in there]


def tools():
    """Rows for the report: all programs of others that the section wants, there or not."""
    rows = {t.programs: (t.programs, t.version_words, t.package)
            for t in tracers.TRACERS if t.programs}
    for load in (loads.Redis, loads.Nginx):
        rows |= {programs[0]: programs for programs in load.programs}
    return [tracers.tool_row(*row) for row in rows.values()]


class Plan:
    """What is still to do, by what the first round took."""

    def __init__(self, context, cells, rounds):
        self.say, self.cells, self.rounds = context.say, cells, rounds
        self.began = time.monotonic()
        self.wall_ns = collections.defaultdict(list)
        nr_tracers = len({tracer.name for _, tracer in cells})
        nr_loads = len({load.name for load, _ in cells})
        self.say(f"comparison: {nr_tracers} tracers x {nr_loads} loads x {rounds} rounds: "
                 f"{len(cells) * rounds} cells")

    def note(self, load, tracer, figures, failed):
        self.wall_ns[load.name, tracer.name].append(figures["wall_ns"])
        if failed:
            self.say(f"comparison: {load.name}, {tracer.name}: failed: {failed}")

    def end_round(self, number):
        spent = time.monotonic() - self.began
        left = spent / number * (self.rounds - number)
        self.say(f"comparison: round {number} of {self.rounds} done after {spent:.0f} s; "
                 f"{left:.0f} s to go")

    def summary(self):
        """Median seconds of each cell."""
        names = list(dict.fromkeys(load.name for load, _ in self.cells))
        self.say(" " * 22 + "".join(f"{name[:14]:>15}" for name in names))
        for tracer in dict.fromkeys(tracer.name for _, tracer in self.cells):
            seconds = [statistics.median(self.wall_ns[name, tracer]) / 1e9 for name in names]
            self.say(f"{tracer:22}" + "".join(f"{s:13.2f} s" for s in seconds))


def shuffled(order, cells):
    """The loads, and within each the tracers, so that those that are compared run close together."""
    names = list(dict.fromkeys(load.name for load, _ in cells))
    for name in order.sample(names, len(names)):
        group = [cell for cell in cells if cell[0].name == name]
        yield from order.sample(group, len(group))


def run(context):
    rounds = 1 if context.quick else context.rounds or ROUNDS
    cells = all_cells(context)
    plan = Plan(context, cells, rounds)
    samples = []
    for number in range(rounds):
        for order, (load, tracer) in enumerate(shuffled(context.random, cells)):
            figures, failed = measure(context, load, tracer)
            plan.note(load, tracer, figures, failed)
            samples.append({"round": number, "order": order, "load": load.name,
                            "tracer": tracer.name, "failed": failed, "figures": figures})
        plan.end_round(number + 1)
    plan.summary()
    named = {load.name: load for load, _ in cells}
    return {"rounds": rounds, "samples": samples, "loads": [
        {"name": name, "unit": load.unit, "calls": list(load.names)}
        for name, load in named.items()]}
