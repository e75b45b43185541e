# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""The samples of an overhead.json, section by section, as series that figures.py compares."""

import figures

SUBJECTS = {"full": "socktrace full", "count": "socktrace count"}


class Samples:
    """Of one section: series by the fields that tell its subjects apart."""

    def __init__(self, report, name, keys):
        section = report["sections"].get(name) or {"rounds": 0, "samples": []}
        self.rounds = section["rounds"]
        self.keys = keys
        self.cells = {}
        for sample in section["samples"]:
            cell = self.cells.setdefault(tuple(sample.get(key) for key in keys), {})
            if sample["round"] in cell:
                raise ValueError(f"two samples of {name} are of the same round: {sample}")
            cell[sample["round"]] = sample

    def names(self, key, known=()):
        """The values of a key: those of @known first, in that order; numbers ascend."""
        at = self.keys.index(key)
        seen = {cell[at] for cell in self.cells}
        rest = sorted(seen - set(known), key=lambda x: (x is not None, isinstance(x, str), x or 0))
        return [x for x in known if x in seen] + rest

    def series(self, cell, figure):
        """Of the rounds that did not fail and have the figure."""
        return {r: value for r, sample in self.cells.get(cell, {}).items()
                if not sample.get("failed")
                and (value := sample.get("figures", sample).get(figure)) is not None}

    def failures(self, cell):
        """{reason: rounds}"""
        reasons = {}
        for r, sample in sorted(self.cells.get(cell, {}).items()):
            if sample.get("failed"):
                reasons.setdefault(sample["failed"], []).append(r)
        return reasons


TRACERS = ("untraced", "floor", "socktrace count", "socktrace full", "bpftrace", "syscount",
           "syscount -L", "perf trace", "strace", "strace --seccomp-bpf")
LOADS = ("getppid", "bystander", "gateway epoll", "gateway threaded", "feed", "forwarder", "redis",
         "nginx")


class Comparison(Samples):
    def __init__(self, report):
        super().__init__(report, "comparison", ("load", "tracer"))
        self.loads = self.names("load", LOADS)
        self.tracers = self.names("tracer", TRACERS)

    def speed(self, load, tracer):
        """Requests, messages, bytes or calls per second."""
        per_s = self.series((load, tracer), "per_s")
        ns = self.series((load, tracer), "ns_per_call")
        return per_s or {r: 1e9 / value for r, value in ns.items()}

    def kept(self, load, tracer, reference="untraced"):
        if tracer == reference:
            return {}
        return figures.ratio(self.speed(load, tracer), self.speed(load, reference))

    def p99(self, load, tracer):
        if tracer == "untraced":
            return {}
        return figures.ratio(self.series((load, tracer), "p99_ns"),
                             self.series((load, "untraced"), "p99_ns"))

    def call_ns(self, load, tracer):
        return self.series((load, tracer), "ns_per_call")

    def added(self, load, tracer):
        if tracer == "untraced":
            return {}
        return figures.added(self.call_ns(load, tracer), self.call_ns(load, "untraced"))

    def relative_cost(self, load, tracer, floor="floor"):
        if tracer in ("untraced", floor):
            return {}
        return figures.relative_cost(self.call_ns(load, tracer), self.call_ns(load, "untraced"),
                                     self.call_ns(load, floor))

    def cpu_share(self, load, tracer):
        """Of one CPU, while it traced."""
        cpu = self.series((load, tracer), "tool_cpu_ns")
        duration = self.series((load, tracer), "duration_ns")
        return figures.paired(lambda c, d: 100 * c / d, cpu, duration) if duration else {}

    def counts(self, load, tracer):
        return figures.counts(self.series((load, tracer), "counted_calls"),
                              self.series((load, tracer), "truth_calls"))

    def has_failed(self, load, tracer):
        """In every round."""
        cell = self.cells.get((load, tracer))
        return bool(cell) and all(sample.get("failed") for sample in cell.values())


class Growth(Samples):
    def __init__(self, report):
        super().__init__(report, "growth", ("axis", "x", "subject"))
        self.axes = self.names("axis", ("threads", "distinct", "sockets", "switches",
                                        "reports per second"))

    def points(self, axis):
        return [x for x in self.names("x") if any(cell[:2] == (axis, x) for cell in self.cells)]

    def call_ns(self, axis, x, subject):
        return self.series((axis, x, subject), "ns_per_call")

    def relative_cost(self, axis, x, subject):
        return figures.relative_cost(*(self.call_ns(axis, x, s)
                                       for s in (subject, "untraced", "floor")))

    def more(self, axis):
        """Names of the other figures that the samples of full detail have."""
        found = {name for cell, rounds in self.cells.items() if cell[0::2] == (axis, "full")
                 for sample in rounds.values() for name in sample["figures"]}
        return sorted(found - {"ns_per_call"})


class Snapshot(Samples):
    def __init__(self, report):
        super().__init__(report, "snapshot", ("axis", "rows"))

    def points(self):
        """[(axis, rows)]"""
        return [(axis, n) for axis in self.names("axis", ("threads", "sockets"))
                for n in self.names("rows") if (axis, n) in self.cells]


class Split(Samples):
    def __init__(self, report):
        super().__init__(report, "split", ("load", "step"))
        section = report["sections"].get("split") or {}
        self.order = self.names("step", section.get("steps", ()))

    def loads(self):
        return self.names("load", ("getppid", "switch"))

    def steps(self, load):
        """Those of the ladder, the tracer itself, and what stands beside."""
        return sorted((s for s in self.order if (load, s) in self.cells),
                      key=lambda s: (s.startswith("or "), s.startswith("socktrace")))

    def before(self, load, step):
        """The step that does one thing less; None of the first, and of what is no step."""
        steps = [s for s in self.steps(load) if not s.startswith(("or ", "socktrace"))]
        return steps[steps.index(step) - 1] if step in steps[1:] else None

    def ns(self, load, step):
        return self.series((load, step), "ns_per_call")

    def relative_cost(self, load, step):
        if step in ("untraced", "empty"):
            return {}
        return figures.relative_cost(self.ns(load, step), self.ns(load, "untraced"),
                                     self.ns(load, "empty"))

    def more_than(self, load, step, other):
        return figures.added(self.ns(load, step), self.ns(load, other))


class Encoding(Samples):
    def __init__(self, report):
        super().__init__(report, "encoding", ("build", "format"))

    def per_row(self, build, form, figure):
        cell = (build, form)
        return figures.paired(lambda x, n: x / n, self.series(cell, figure),
                              self.series(cell, "rows"))
