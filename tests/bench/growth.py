# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""Sections "growth" and "snapshot": what becomes of the costs when there is more of everything.

growth    run(): ns of a call under each subject, at points of axes. In each round the points come
          in an order of their own, and at each point the subjects, seconds apart, on one looper.
snapshot  run_snapshot(): CPU time of one more report, by the rows of which it is made.
"""

import contextlib
import dataclasses
import fcntl
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time

from tracers import end_with_parent

ROUNDS = 6
LOOP_MS = 120
QUICK_MS = 20
WARM_UP_MS = 10
SUBJECTS = ("untraced", "floor", "count", "full")
READY = "; Ctrl-C ends it"
DEFAULT_MAX_THREADS = 6144


# --- what is traced ---------------------------------------------------------------------------


@dataclasses.dataclass
class Run:
    calls: int
    ns: int
    switches: int | None


class Looper:
    """looper.c on one CPU, the last of those that we may use; tracers run where they like."""

    def __init__(self, context, *options):
        cpu = max(os.sched_getaffinity(0))
        self.command = ["taskset", "-c", str(cpu), os.path.join(context.bench, "looper"),
                        *map(str, options)]
        self.process = None

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True,
                                        preexec_fn=end_with_parent)
        if self.process.stdout.readline() != "ready\n":
            self.__exit__()
            raise RuntimeError(f"{' '.join(self.command)} is not ready")
        return self

    def __exit__(self, *_):
        with self.process, contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()

    @property
    def pid(self):
        return self.process.pid

    def holders(self):
        """All processes with its sockets: some may be its children's."""
        with open(f"/proc/{self.pid}/task/{self.pid}/children", encoding="ascii") as f:
            return [self.pid, *map(int, f.read().split())]

    def run(self, ms):
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(f"{ms}\n")
            self.process.stdin.flush()
        words = self.process.stdout.readline().split()
        if len(words) < 2:
            raise RuntimeError(f"{' '.join(self.command)} ended")
        return Run(*map(int, words[:2]), int(words[2]) if len(words) > 2 else None)


# --- tracers ------------------------------------------------------------------------------------


class Tracing:
    """A tracer from when it says that it traces until it has ended."""

    def __init__(self, command, ready, stdout=subprocess.DEVNULL):
        self.command = [str(word) for word in command]
        self.ready = ready
        self.stdout = stdout
        self.process = self.usage = None

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdout=self.stdout, stderr=subprocess.PIPE,
                                        text=True, errors="replace", preexec_fn=end_with_parent)
        said = []
        try:
            for line in self.process.stderr:
                said.append(line)
                if self.ready in line:
                    return self
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        self.end(said)
        raise RuntimeError(self.failure(said))

    def __exit__(self, kind, *_):
        os.kill(self.process.pid, signal.SIGINT)  # nobody else waits for it: the number is its own
        said = []
        self.end(said)
        if self.process.returncode and kind is None:
            raise RuntimeError(self.failure(said))

    def end(self, said):
        said += self.process.stderr.readlines()
        _, status, self.usage = os.wait4(self.process.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        for stream in (self.process.stdout, self.process.stderr):
            if stream:
                stream.close()

    def failure(self, said):
        text = " ".join("".join(said).split())
        return f"{os.path.basename(self.command[0])} ended with {self.process.returncode}: " \
               f"{text[-200:]}"

    def cpu_ns(self):
        """clock_getcpuclockid(3), up to this very moment."""
        return time.clock_gettime_ns(~self.process.pid << 3 | 2)

    def peak_bytes(self):
        """Unknown if less than ours, which a child inherits until it executes its program."""
        ours = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return self.usage.ru_maxrss * 1024 if self.usage.ru_maxrss > ours else None


def attach(context, looper, detail, options, stdout=subprocess.DEVNULL):
    pids = looper.holders() if "--sockets" in looper.command else [looper.pid]
    return Tracing([context.socktrace, "attach", "--detail", detail, *options, *pids], READY,
                   stdout)


def floor(context):
    return Tracing([os.path.join(context.bench, "bench-floor")], "tracing with empty programs")


def nobody(_looper):
    return contextlib.nullcontext()


SELF = re.compile(rb'"(rss_bytes|map_bytes|setup_ns)": *([0-9]+)')
HEAD_BYTES = 1 << 20  # the whole may be far longer than is good for our own memory


def report_costs(file):
    """What the reports in @file, the last one counting, say of the tracer itself."""
    file.seek(0)
    head = file.read(HEAD_BYTES)
    costs = head.rfind(b'"self"')
    if costs < 0:
        raise RuntimeError("the report does not say what the tracer used")
    return {name.decode(): int(value) for name, value in SELF.findall(head[costs:costs + 400])}


# --- growth ---------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Point:
    axis: str
    x: int
    looper: tuple = ()
    tracer: tuple = ()
    loop_ms: int = LOOP_MS


def threads_point(x):
    room = ("--max-threads", 2 * x) if x > DEFAULT_MAX_THREADS / 2 else ()
    return Point("threads", x, ("--threads", x - 1), room)


def reports_point(per_s):
    if not per_s:
        return Point("reports per second", 0)
    return Point("reports per second", per_s, (), ("-i", 1 / per_s),
                 max(LOOP_MS, 1100 // per_s))


AXES = {
    "threads": [threads_point(x) for x in (1, 10, 100, 1000, 10000)],
    "distinct": [Point("distinct", x, ("--distinct", x)) for x in (1, 4, 16, 64)],
    "sockets": [Point("sockets", x, ("--sockets", x)) for x in (1, 100, 1000, 10000, 50000)],
    "switches": [Point("switches", x, ("--yields", x)) for x in (0, 1000, 10000, 50000)],
    "reports per second": [reports_point(x) for x in (0, 1, 10, 50)],
}


def options_for(point, subject):
    return [str(o) for o in point.tracer] if subject in ("count", "full") else []


def loop_figures(run):
    figures = {"ns_per_call": run.ns / run.calls}
    if run.switches is not None:
        figures["switches_per_s"] = run.switches / run.ns * 1e9
    return figures


def under_socktrace(context, point, detail, looper, loop_ms):
    with tempfile.TemporaryFile() as out:
        tracer = attach(context, looper, detail, ("-F", "json", *point.tracer), out)
        with tracer:
            looper.run(WARM_UP_MS)
            run = looper.run(loop_ms)
        return {**loop_figures(run), **report_costs(out), "peak_rss_bytes": tracer.peak_bytes()}


def under(context, point, subject, looper):
    loop_ms = QUICK_MS if context.quick else point.loop_ms
    if subject in ("count", "full"):
        return under_socktrace(context, point, subject, looper, loop_ms)
    with floor(context) if subject == "floor" else nobody(looper):
        looper.run(WARM_UP_MS)
        return loop_figures(looper.run(min(loop_ms, LOOP_MS)))


def measured(measure, *args):
    try:
        return {"failed": None, "figures": measure(*args)}
    except RuntimeError as why:
        return {"failed": str(why), "figures": {}}


def with_looper(context, options, measure, keys):
    """measure(looper, key) of each of @keys, with what there is to say of the sample."""
    with contextlib.ExitStack() as stack:
        try:
            looper = stack.enter_context(Looper(context, *options))
        except RuntimeError as why:
            for key in keys:
                yield key, {"failed": str(why), "figures": {}}
            return
        for key in keys:
            yield key, measured(measure, looper, key)


def sample_point(context, number, point):
    subjects = context.random.sample(SUBJECTS, len(SUBJECTS))
    for subject, found in with_looper(
            context, point.looper, lambda looper, s: under(context, point, s, looper), subjects):
        yield {"round": number, "axis": point.axis, "x": point.x, "subject": subject,
               "options": options_for(point, subject), **found}


def rounds_of(context, name, points, sample):
    """The section of that name: samples of all points in each round, in an order of its own."""
    rounds = 1 if context.quick else context.rounds or ROUNDS
    samples = []
    for number in range(1, rounds + 1):
        for point in context.random.sample(points, len(points)):
            samples += sample(context, number, point)
        context.say(f"{name}: round {number} of {rounds}")
    return {"rounds": rounds, "samples": samples}


def run(context):
    points = [p for axis in AXES.values() for p in (axis[:2] if context.quick else axis)]
    return rounds_of(context, "growth", points, sample_point)


# --- snapshot -------------------------------------------------------------------------------------

# Rows of threads: each made so many different calls, besides those that its waiting takes.
CALLS = 4
INTERVAL_S = 0.05
REPORTS = 2  # after the first, which meets everything for the first time
# The shortest report is little more than the snapshot; JSON has every row.
FORMATS = {"ns": (("-F", "text", "--top", 1), b"\naudits: "), "json_ns": (("-F", "json"), b"\n")}


@dataclasses.dataclass(frozen=True)
class Rows:
    axis: str
    rows: int
    looper: tuple
    tracer: tuple = ()


def thread_rows(threads):
    return Rows("threads", threads * CALLS, ("--threads", threads - 1, "--distinct", CALLS),
                threads_point(threads).tracer)


ROWS = [*(thread_rows(x) for x in (1, 10, 100, 1000, 10000)),
        *(Rows("sockets", x, ("--sockets", x)) for x in (100, 1000, 10000, 50000))]


class Reader(threading.Thread):
    """Takes reports off a tracer's pipe as fast as they come, until it ends.

    marks: at the end of each, the CPU time that the tracer had used, and the report's length.
    """

    def __init__(self, fd, end):
        super().__init__(daemon=True)
        self.pipe = os.fdopen(fd, "rb", buffering=0)
        self.last = end
        self.marks = []
        self.tracer = None
        self.is_enough = threading.Event()

    def run(self):
        tail, length = b"", 0
        while some := self.pipe.read(1 << 20):
            tail = tail[1 - len(self.last):] + some
            length += len(some)
            if self.last in tail and not self.is_enough.is_set():
                self.marks.append((self.tracer.cpu_ns(), length))
                tail, length = b"", 0
            if len(self.marks) > REPORTS:
                self.is_enough.set()
        self.is_enough.set()


def cost_of_report(context, rows, looper, name):
    """CPU time from the end of a report to the end of the next one, and a report's length.

    What is due while one is made is left out: reports do not overlap.
    """
    options, end = FORMATS[name]
    read_end, write_end = os.pipe()
    reader = Reader(read_end, end)
    with os.fdopen(write_end, "wb") as pipe:
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, 1 << 20)
        reader.tracer = attach(context, looper, "full", ("-i", INTERVAL_S, *options, *rows.tracer),
                               pipe)
        with reader.tracer:
            pipe.close()
            try:
                looper.run(0)
            finally:  # it must not wait for a reader at its end either
                reader.start()
            reader.is_enough.wait()
    reader.join()
    reader.pipe.close()
    if len(reader.marks) <= REPORTS:
        raise RuntimeError("the tracer ended before its reports")
    used = [cpu_ns for cpu_ns, _ in reader.marks]
    return {name: (used[-1] - used[0]) / REPORTS,
            name.replace("ns", "bytes"): reader.marks[-1][1]}


def sample_rows(context, number, rows):
    names = context.random.sample(list(FORMATS), len(FORMATS))
    sample = {"round": number, "axis": rows.axis, "rows": rows.rows, "failed": None, "figures": {}}
    for _, found in with_looper(context, rows.looper,
                                lambda looper, name: cost_of_report(context, rows, looper, name),
                                names):
        sample["figures"] |= found["figures"]
        sample["failed"] = sample["failed"] or found["failed"]
    yield sample


def run_snapshot(context):
    return rounds_of(context, "snapshot", ROWS[::5] if context.quick else ROWS, sample_rows)
