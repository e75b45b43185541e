#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""What check-kernels asks of one kernel: the one that this runs on, in a virtual machine or not.

suite.py PROBES OUT   PROBES: what probes.py prints. OUT: a line of JSON for each result:
    {"kernel", "version", "machine"}          the first line
    {"test", "result", "why", "seconds"}      result: pass, fail, skip or lost
    {"probe", "hook", "state", "why"}         state: default, works, untried, lacking
    {"end": number of tests}                  the last line; without it, the kernel did not finish

"lost": the trace lost events, and both the exit status and the report say so. No figure of such a
report is looked at. A trace that is complete must be exact.

Environment: SOCKTRACE, E2E_BIN; SUITE=few leaves out what does not depend on the processor.
"""

import argparse
import collections
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

sys.dont_write_bytecode = True  # leaves nothing in the tree
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../e2e/lib"))
import compare
import exact
import sockets

SOCKTRACE = os.environ["SOCKTRACE"]
PROGRAMS = os.environ["E2E_BIN"]
LIMIT = 120  # s for one trace; it only turns a hang into a failure
TRIES = 2  # of a trace that loses events
TRY_AGAIN = 20  # s: what takes longer is not tried again
# What follows when an event is missed.
CONSEQUENCES = {"unpaired_entry", "switch_unseen", "thread_vanished", "unseen_entry",
                "unseen_thread", "unseen_state"}
EXIT_UNTRUSTED, EXIT_OF_RUN = 3, 125  # `run` keeps the statuses below for its command


class Failure(Exception):
    pass


class Skip(Exception):
    pass


class Lost(Exception):
    pass


class Problems(compare.Problems):
    """Differences, kept instead of printed."""

    def __init__(self):
        super().__init__()
        self.texts = []

    def add(self, where, text):
        self.count += 1
        self.texts.append(f"{where}: {text}")

    def raise_any(self):
        if self.texts:
            more = f"; {self.count} differences" if self.count > 1 else ""
            raise Failure("; ".join(self.texts[:3]) + more)


class Runs:
    """What all reports of the suite say of probes, hooks and programs."""

    def __init__(self, probes):
        self.probes = probes
        self.names = {(p["name"], h["where"]): h["name"] for p in probes for h in p["hooks"]}
        self.by_default = {}
        self.passed_over = {}
        self.programs = collections.Counter()

    def add(self, report, is_forced):
        for probe in report["capture"]["probes"]:
            if not is_forced and probe["attached"]:
                self.by_default[probe["name"]] = self.names[probe["name"], probe["hook"]]
            if not is_forced and probe["reason"]:
                self.passed_over[probe["name"]] = probe["reason"]
        for program in report["capture"]["overhead"]["programs"]:
            self.programs[program["name"]] += program["runs"] or 0

    def hook(self, report, name):
        """The hook of a probe that a report was made with."""
        return next((self.names[name, p["hook"]] for p in report["capture"]["probes"]
                     if p["name"] == name and p["attached"]), None)

    def idle(self, hook):
        """Programs of a hook that have never run."""
        return [p for p, may_be_idle in hook["programs"].items()
                if not may_be_idle and not self.programs[p]]


# --- one trace -----------------------------------------------------------------------------------


def read_until(pipe, word, what):
    """The line that has that word. A hang ends with the process that writes: see watched()."""
    said = ""
    for line in pipe:
        said += line
        if word in line:
            return line
    raise Failure(f"{what} ended without \"{word}\": {said.strip()[-600:]}")


def watched(*args, **kwargs):
    process = subprocess.Popen(args, text=True, **kwargs)
    timer = threading.Timer(LIMIT, process.kill)
    timer.daemon = True
    timer.start()
    return process


def forget_reasons(truth):
    """Drops as one sees them who is not told the reason."""
    for socket in truth.get("sockets", ()):
        sums = collections.Counter()
        for drop in socket["drops"].values():
            sums.update(drop)
        socket["drops"] = {"NOT_TOLD": dict(sums)} if sums else {}


def may_lose(hooks):
    """What this kernel loses now and then, and socktrace can only count: docs/KERNELS.md."""
    causes = set()
    if int(os.uname().release.split(".")[0]) >= 7:
        causes.add("recursion")
    if "socket_bytes=kretprobe" in hooks:
        causes.add("return_unseen")
    return causes


class Trace:
    """A program under socktrace; leaves @report, @truth, @status and @said."""

    def __init__(self, suite, hooks=(), options=()):
        self.runs = suite.runs
        self.dir = tempfile.mkdtemp(dir=suite.dir)
        self.is_forced = bool(hooks)
        self.may_lose = may_lose(hooks)
        self.files = [os.path.join(self.dir, name) for name in ("report.json", "truth.json")]
        self.options = [*options, *(f"--hook={h}" for h in hooks), "-F", "json", "--allow-partial",
                        "-o", self.files[0]]

    def load(self):
        if not os.path.exists(self.files[0]) or not os.path.getsize(self.files[0]):
            raise Failure(f"socktrace ended with {self.status}: {self.said.strip()[-600:]}")
        self.report = compare.load_report(self.files[0])
        self.runs.add(self.report, self.is_forced)
        lost = {name: n for name, n in self.report["capture"]["lost"].items() if n}
        if not self.report["capture"]["complete"]:
            if self.status not in (EXIT_UNTRUSTED, EXIT_OF_RUN):
                raise Failure(f"the report is not to be trusted, but the status is {self.status}")
            passed_over = [f"{p['recursion_misses']} by {p['name']}" for p in
                           self.report["capture"]["overhead"]["programs"] if p["recursion_misses"]]
            # Misses of a program with a copy may be no loss of their own, but an audit can show one.
            may_have_lost = self.may_lose & set(lost) or ("recursion" in self.may_lose and
                                                          passed_over)
            if may_have_lost and set(lost) <= self.may_lose | CONSEQUENCES:
                raise Lost(", ".join([f"{name} {n}" for name, n in lost.items()] + passed_over))
            wrong = [f"{a['name']} of {a['subject']}: {a['reason']}" for a in
                     self.report["audits"] if a["ok"] is False]
            raise Failure(f"not to be trusted: {lost or ''} {'; '.join(wrong[:3])}")

    def socktrace(self, *args):
        """To its end."""
        done = subprocess.run([SOCKTRACE, *args], stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=LIMIT)
        self.status, self.said = done.returncode, done.stdout

    def run(self, program, *args):
        self.socktrace("run", *self.options, "--", f"{PROGRAMS}/{program}", "-o", self.files[1],
                       *args)
        self.load()
        if self.status:
            raise Failure(f"{program} ended with {self.status}: {self.said.strip()[-600:]}")

    def run_in_turn(self, commands):
        """Programs, one after the other, by a shell; a truth of each."""
        truths = [f"{self.files[1]}.{i}" for i in range(len(commands))]
        script = "".join(f"{PROGRAMS}/{c[0]} -o {truth} {' '.join(c[1:])} || exit {i + 1}\n"
                         for i, (c, truth) in enumerate(zip(commands, truths)))
        self.socktrace("run", *self.options, "--", "/bin/sh", "-c", script + ":")
        self.load()
        if self.status:
            raise Failure(f"program {self.status} failed: {self.said.strip()[-600:]}")
        self.truths = [compare.load_truth(truth) for truth in truths]

    def parts_in_turn(self):
        """What the report says of each of them. The shell has the first process."""
        first = [truth["processes"][0]["pid"] for truth in self.truths]
        parts = []
        for process in sorted(self.report["processes"], key=lambda p: p["started_ns"])[1:]:
            if len(parts) < len(first) and process["pid"] == first[len(parts)]:
                parts.append([])
            if not parts:
                raise Failure(f"process {process['pid']} before the first program")
            parts[-1].append(process)
        if len(parts) != len(first):
            raise Failure(f"{len(parts)} of {len(first)} programs in the report")
        return [dict(self.report, processes=part) for part in parts]

    def attach(self, program, *args, holds=False):
        """To a program that waits; until it ends or, if it @holds what it has, until told."""
        pipe = subprocess.PIPE
        target = watched(f"{PROGRAMS}/{program}", "-g", "-o", self.files[1], *args, stdin=pipe,
                         stdout=pipe)
        tracer = None
        try:
            pids = read_until(target.stdout, "ready", program).replace("ready", "").split()
            tracer = watched(SOCKTRACE, "attach", *(pids or [str(target.pid)]), *self.options,
                             stderr=pipe)
            self.said = read_until(tracer.stderr, "socktrace: tracing", "socktrace")
            target.stdin.write("x")
            target.stdin.flush()
            if holds:
                read_until(target.stdout, "done", program)
                tracer.send_signal(signal.SIGINT)
                self.said += tracer.stderr.read()
                self.status = tracer.wait()
                target.stdin.write("x")
            target.stdin.close()
            status = target.wait()
            self.said += tracer.stderr.read()
            self.status = tracer.wait()
        finally:
            for process in filter(None, (target, tracer)):
                process.kill()
                process.wait()
        if status:
            raise Failure(f"{program} ended with {status}")
        self.load()
        if self.status:
            raise Failure(f"socktrace ended with {self.status}: {self.said.strip()[-600:]}")

    def is_exact(self, is_run, udp_audit=False):
        """Holds the report against itself and the program's own account."""
        is_sound(self, udp_audit)
        agrees(self.runs, compare.load_truth(self.files[1]), self.report, is_run)


def is_sound(trace, udp_audit=False, nulls=()):
    """A report by itself."""
    problems = Problems()
    if "--no-sockets" in trace.options:
        compare.check_sound(problems, trace.report, [])
    else:
        if not trace.runs.hook(trace.report, "socket_bytes"):
            raise Failure("no hook for bytes is attached")
        sockets.check_sockets(problems, trace.report, list(nulls))
        if any(p["sockets"] for p in trace.report["processes"]):
            sockets.audited(problems, trace.report, "tcp_bytes", "tcp")
        if udp_audit:
            sockets.audited(problems, trace.report, "udp_drops", "udp")
    problems.raise_any()


def agrees(runs, truth, report, is_run):
    """A report, or a part of it, with a program's own account."""
    problems = Problems()
    if runs.hook(report, "drops") == "plain":
        forget_reasons(truth)
    options = argparse.Namespace(run=is_run, abi=os.uname().machine, root_only=False, only=None)
    if truth.get("sockets") and runs.hook(report, "socket_bytes"):
        sockets.compare_report(problems, truth, report, options)
    compare.compare_report(problems, truth, report, options)
    problems.raise_any()


# --- the suite -----------------------------------------------------------------------------------


class Suite:
    def __init__(self, probes, out, directory):
        self.runs = Runs(probes)
        self.out = out
        self.dir = directory
        self.count = 0

    def say(self, **what):
        self.out.write(json.dumps(what) + "\n")
        self.out.flush()

    def result(self, name, result, why="", seconds=0.0):
        self.count += 1
        self.say(test=name, result=result, why=why, seconds=round(seconds, 1))
        print(f"{result} - {name}{': ' + why if why else ''} ({seconds:.1f} s)", flush=True)
        return result

    def test(self, name, function, *args, **kwargs):
        start = time.monotonic()
        result, why = "pass", ""
        for _ in range(TRIES):
            try:
                result, why = "pass", function(*args, **kwargs) or ""
            except Lost as e:
                result, why = "lost", str(e)
                if time.monotonic() - start < TRY_AGAIN:
                    continue
            except Skip as e:
                result, why = "skip", str(e)
            except Exception as e:  # whatever goes wrong is the test's result
                result, why = "fail", f"{type(e).__name__ * (type(e) is not Failure)} {e}".strip()
            break
        return self.result(name, result, why, time.monotonic() - start)

    def default_hook(self, probe):
        if probe not in self.runs.by_default:
            raise Failure(f"no trace has taken a hook of {probe}")
        return self.runs.by_default[probe]

    # What tests are made of.

    def run(self, *command, hooks=(), options=()):
        need(command[0])
        trace = Trace(self, hooks, options)
        trace.run(*(a.replace("DIR", trace.dir) for a in command))
        trace.is_exact(True)

    def run_each(self, title, commands, options=()):
        """
        A test of each command. They run in one trace, because loading the programs takes longest;
        if that trace is no good, each in its own.
        """
        able = [c for c in commands if not lacks(c.split()[0])]
        parts = {}
        self.test(f"{title}, {len(commands)} programs in turn", self.run_in_turn, able, parts, options)
        for command in commands:
            name = f"{title} {plain(command)}"
            if command in parts:
                self.test(name, agrees, self.runs, *parts[command], True)
            else:
                self.test(name, self.run, *command.split(), options=options)

    def run_in_turn(self, commands, parts, options):
        """Leaves in @parts, by command: truth and report."""
        trace = Trace(self, options=options)
        trace.run_in_turn([c.replace("DIR", trace.dir).split() for c in commands])
        is_sound(trace)
        parts.update(zip(commands, zip(trace.truths, trace.parts_in_turn())))

    def attach(self, *command, hooks=(), options=("-f",), **kwargs):
        need(command[0])
        trace = Trace(self, hooks, options)
        trace.attach(*(a.replace("DIR", trace.dir) for a in command), **kwargs)
        trace.is_exact(False, udp_audit=kwargs.get("holds", False))

    def workload(self, *command, hooks=()):
        trace = Trace(self, hooks)
        trace.socktrace("run-workload", *command, "--trials=1", *trace.options)
        trace.load()
        trials = trace.report["workload"]["trials"]
        if trace.status or not trials or any(t["exact"] is not True for t in trials):
            raise Failure(f"status {trace.status}, {[t['exact'] for t in trials]}: {trace.said}")
        truths = [a["ok"] for a in trace.report["audits"] if a["name"] == "workload_truth"]
        if not truths or set(truths) != {True}:
            raise Failure(f"audits workload_truth: {truths}")


def lacks(program):
    """What a program needs and this machine has not."""
    is_32_bit = program == "compat" or program.endswith("32")
    if is_32_bit and not os.path.exists(f"{PROGRAMS}/{program}"):
        return "no 32-bit build on this architecture"
    if program == "pidreuse" and not os.access("/proc/sys/kernel/ns_last_pid", os.W_OK):
        return "may not write ns_last_pid"
    return None


def need(program):
    why = lacks(program)
    if why:
        raise Skip(why)


def doctor():
    done = subprocess.run([SOCKTRACE, "doctor"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, timeout=LIMIT)
    if done.returncode or "Everything that tracing needs works here" not in done.stdout:
        raise Failure(f"status {done.returncode}: {done.stdout.strip()[-500:]}")


MANY = ("grid -p 4 -t 4 -n 16", "shortlived -t 200 -p 20")  # Linux 7 may lose of these
CALLS = (
    "forktree -d 2 -w 3 -x",
    "execs thread",
    "vforks",
    "signals",
    "die",
    "denied",
    "bytes",
    f"compat -e {PROGRAMS}/compat32",
    "pidreuse -t",
)
COUNT_ONLY = ("execs thread", "signals")
ATTACHED = ("grid -l -p 3 -t 3", "churn -c 2 -m 20")
SOCKETS = ("corners", "owners -n 3", "connects -n 40", "moves32 -n 1 -d DIR",
           "relay -n 500000 splice")
WITH_EACH_HOOK = "moves -n 1 -d DIR"
# Of the table of programs/exact.c: of every family what differs between them, and one whole.
CELLS_WITH_EACH_HOOK = ("*/send", "*/recv", "*/sendfile", "*/splice-out", "*/recv-peek",
                        "*/recvmmsg-last-fails", "*/recv-restarted", "*/ring-send",
                        "*/ring-recv-waits", "*/ring-async-recv", "*/ring-sqpoll-send")
CELLS = ("tcp4/*", *CELLS_WITH_EACH_HOOK)
DATAGRAMS = "datagrams -k -n 400 -b 2048"
OVERFLOWS = "life overflows"  # the kernel sends requests again
WORKLOADS = (
    "gateway --mode threaded --connections 4 --orders 40",
    "gateway --mode epoll --connections 4 --orders 40",
    "feed --messages 1000 --rcvbuf 2048",
    "forwarder --load bulk --seconds 0.2 --topology veth",
    "forwarder --load bulk --seconds 0.2 --splice",
    "forwarder --load crr --seconds 0.2",
)


def test_calls(suite):
    for command in MANY:
        suite.test(f"run {command}", suite.run, *command.split(), options=["--no-sockets"])
    suite.run_each("run", CALLS, ["--no-sockets"])
    suite.run_each("run --detail count", COUNT_ONLY, ["--no-sockets", "--detail=count"])
    for command in ATTACHED:
        suite.test(f"attach -f {plain(command)}", suite.attach, *command.split(),
                   options=["-f", "--no-sockets"])


def plain(command):
    return command.replace(f"{PROGRAMS}/", "").replace(" -d DIR", "")


def test_sockets(suite):
    suite.run_each("run", SOCKETS)
    suite.test("run exact, cells of every family", cells_agree, suite)
    suite.test("attach -f moves", suite.attach, *"moves -e -n 1 -d DIR".split())


def cells_agree(suite, cells=CELLS, hooks=()):
    """Each cell of its own; which of them this kernel cannot do, and why, is in the result."""
    trace = Trace(suite, hooks)
    hook = hooks[0].split("=")[1] if hooks else suite.default_hook("socket_bytes")
    trace.run("exact", "-H", hook, "-d", trace.dir, *cells)
    truth, problems = compare.load_truth(trace.files[1]), exact.CellProblems()
    exact.compare_report(problems, truth, trace.report)
    if problems.count:
        wrong = [f"{cell}: {texts[0]}" for cell, texts in problems.cells.items()]
        raise Failure(f"{len(wrong)} cells are wrong: {'; '.join(wrong[:3])}")
    # Of a message into bad memory, a kernel may not tell which socket threw it away.
    tells = suite.runs.hook(trace.report, "drops") == "socket"
    trace.report = exact.without_late_ends(truth, trace.report)
    is_sound(trace, nulls=[] if tells else ["udp_drops"])
    return exact.summary(truth["cells"])


# --- hooks ---------------------------------------------------------------------------------------


def with_hook(suite, probe, hook):
    """What is counted through this hook of a probe that has several."""
    forced = [f"{probe}={hook}"]
    if probe == "drops":
        if hook != "socket" and suite.runs.by_default["socket_bytes"] != "fexit":
            return kept_apart(suite, hook)
        suite.attach(*DATAGRAMS.split(), hooks=forced, options=(), holds=True)
        return None
    suite.run(*WITH_EACH_HOOK.split(), hooks=forced)
    return cells_agree(suite, CELLS_WITH_EACH_HOOK, forced)


def kept_apart(suite, hook):
    """
    Drops by a hook that does not name the socket, where the function that knows it cannot be
    traced: the packets are all there, but belong to no socket, and the audit says so.
    """
    trace = Trace(suite, [f"drops={hook}"])
    trace.attach(*DATAGRAMS.split(), holds=True)
    truth = compare.load_truth(trace.files[1])
    thrown = sum(d["packets"] for s in truth["sockets"] for d in s["drops"].values())
    seen = sum(d["packets"] for d in trace.report["drops"]
               if hook == "plain" or d["reason"] == "SOCKET_RCVBUFF")
    audits = [a["ok"] for a in trace.report["audits"] if a["name"] == "udp_drops"]
    if not 0 < thrown <= seen or None not in audits or False in audits:
        raise Failure(f"{thrown} thrown away, {seen} seen, audits udp_drops {audits}")
    return "of no socket: the function that knows it cannot be traced here"


def asked_for(function, *args, **kwargs):
    """A hook that was asked for by name, and that this kernel may lack."""
    try:
        return function(*args, **kwargs)
    except Failure as e:
        why = re.search(r"cannot be attached: (.*)", str(e))
        if why:
            raise Skip(why[1]) from e
        raise


def ran(suite, hook):
    idle = suite.runs.idle(hook)
    if idle:
        raise Failure(f"never run: {', '.join(idle)}")


def test_hooks(suite):
    """Every hook of every probe. Those that have no rival are asked for all at once."""
    single = [p for p in suite.runs.probes if len(p["hooks"]) == 1]
    works = {}
    for detail in ("full", "count"):
        names = [f"{p['name']}={p['hooks'][0]['name']}" for p in single
                 if works_in(p, detail) and p["name"] in suite.runs.by_default]
        command = OVERFLOWS if detail == "count" else "life"
        works[detail] = suite.test(f"run --detail {detail} {command}, hooks asked for by name",
                                   suite.run, *command.split(), hooks=names,
                                   options=[f"--detail={detail}"])
    for probe in suite.runs.probes:
        for hook in probe["hooks"]:
            name = f"{probe['name']}={hook['name']}"
            if len(probe["hooks"]) > 1:
                result = suite.test(f"hook {name}", asked_for, with_hook, suite, probe["name"],
                                    hook["name"])
            elif probe["name"] in suite.runs.by_default:
                detail = "full" if works_in(probe, "full") else "count"
                result = works[detail]
                suite.test(f"hook {name}", ran, suite, hook)
            else:
                result = suite.test(f"hook {name}", asked_for, suite.run, *OVERFLOWS.split(),
                                    hooks=[name])
            say_hook(suite, probe, hook, result)


def works_in(probe, detail):
    return probe["wanted"].startswith(("IN_BOTH", f"IN_{detail.upper()}"))


def say_hook(suite, probe, hook, result):
    taken = suite.runs.by_default.get(probe["name"]) == hook["name"]
    if result == "skip":
        state = "lacking"
    elif suite.runs.idle(hook) or result not in ("pass", "lost"):
        state = "untried"
    else:
        state = "default" if taken else "works"
    suite.say(probe=probe["name"], hook=hook["name"], state=state, result=result,
              why=suite.runs.passed_over.get(probe["name"], ""))


def test_few_hooks(suite):
    """Those for bytes, which read the processor's registers; else those that tests ran with."""
    for probe in suite.runs.probes:
        for hook in probe["hooks"]:
            if probe["name"] == "socket_bytes":
                result = suite.test(f"hook socket_bytes={hook['name']}", asked_for, with_hook,
                                    suite, probe["name"], hook["name"])
                say_hook(suite, probe, hook, result)
            elif (suite.runs.by_default.get(probe["name"]) == hook["name"]
                  and not suite.runs.idle(hook)):
                say_hook(suite, probe, hook, "pass")


# --- workloads -----------------------------------------------------------------------------------


def test_workloads(suite, commands):
    for command in commands:
        suite.test(f"run-workload {command}", suite.workload, *command.split())


@contextlib.contextmanager
def runs_counted():
    """The kernel counts how often each program runs, as long as this lasts."""
    path = "/proc/sys/kernel/bpf_stats_enabled"
    with open(path, encoding="ascii") as f:
        before = f.read()
    try:
        with open(path, "w", encoding="ascii") as f:
            f.write("1")
        yield
    finally:
        with open(path, "w", encoding="ascii") as f:
            f.write(before)


def main():
    with open(sys.argv[1], encoding="utf-8") as f:
        probes = json.load(f)
    with open(sys.argv[2], "w", encoding="utf-8") as out, tempfile.TemporaryDirectory() as where:
        os.chmod(where, 0o755)
        suite = Suite(probes, out, where)
        host = os.uname()
        suite.say(kernel=host.release, version=host.version, machine=host.machine)
        with runs_counted():
            suite.test("doctor", doctor)
            test_calls(suite)
            test_sockets(suite)
            if os.environ.get("SUITE") == "few":
                test_workloads(suite, WORKLOADS[:1])
                test_few_hooks(suite)
            else:
                test_workloads(suite, WORKLOADS)
                test_hooks(suite)
        suite.say(end=suite.count)


if __name__ == "__main__":
    main()
