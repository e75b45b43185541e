#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""faults_run.py FAULT: tries one fault many times; a function below for each.

FAULTS_SEED makes the random moments those of an earlier run.
"""

import ctypes
import itertools
import os
import random
import resource
import signal
import subprocess
import sys
import time
from datetime import datetime

import faults
import faults_limits
from faults import (COMPLETE, HANG_S, PROGRAMS, RUN_FAILED, UNTRUSTED, Nothing, Program, Service,
                    Trace, Tries, call_total, demand, directory, in_parallel, partial,
                    same_as_truth, sound, temporary_files, truth_total, wait_until)

SIG = signal.Signals
ENDING = {SIG.SIGINT, SIG.SIGTERM, SIG.SIGHUP, SIG.SIGQUIT, SIG.SIGALRM, SIG.SIGVTALRM,
          SIG.SIGPROF, SIG.SIGPOLL, SIG.SIGXCPU, SIG.SIGSTKFLT, SIG.SIGPWR,
          *range(signal.SIGRTMIN, signal.SIGRTMAX + 1)}  # attach: these end the trace
PASSED_ON = ENDING | {SIG.SIGUSR1, SIG.SIGUSR2}  # run: these are the command's
STOPPING = {SIG.SIGSTOP, SIG.SIGTSTP, SIG.SIGTTIN, SIG.SIGTTOU}
IGNORED = {SIG.SIGPIPE, SIG.SIGXFSZ}  # once main() has begun
HARMLESS = {SIG.SIGCHLD, SIG.SIGCONT, SIG.SIGURG, SIG.SIGWINCH} | IGNORED
SIGNALS = [*range(1, 32), 34, 64]
PHASES = ("start-up", "middle", "report")
FAULTS = {}


def fault(f):
    FAULTS[f.__name__] = f
    return f


# --- signals -----------------------------------------------------------------------------------


def deadly(number, spared):
    return number not in spared | STOPPING | HARMLESS


def send(trace, number):
    """A stopped socktrace is let go on."""
    trace.signal(number)
    if number in STOPPING:
        time.sleep(0.02)
        trace.signal(signal.SIGCONT)


def attach_exits(number, phase):
    """What the contract allows. Before main() has begun, a signal has its default effect."""
    if phase == "start-up":
        return {COMPLETE, -number} if number in PASSED_ON | IGNORED else \
            {-number} if deadly(number, PASSED_ON) else {COMPLETE}
    if deadly(number, PASSED_ON):
        return {-number, COMPLETE} if phase == "report" else {-number}
    return {COMPLETE}


def signal_attach(tries, number, phase, delay, target):
    with tries.one(f"signal {number} to attach, {phase}, after {delay:.4f} s"), directory() as d:
        trace = Trace(d, "attach", target.pid)
        if phase != "start-up":
            trace.wait_tracing()
        if phase == "report":
            trace.signal(signal.SIGINT)
        time.sleep(delay)
        send(trace, number)
        if not deadly(number, PASSED_ON) and number not in ENDING:
            trace.wait_tracing()
            trace.signal(signal.SIGINT)
        code = trace.ends(attach_exits(number, phase) | {UNTRUSTED})
        trace.settle(code, tries)
        demand(target.lives(), "the target has ended")


def run_exits(number, phase):
    if number in PASSED_ON:  # the command ends by it, and socktrace as the command did
        return {COMPLETE, -number, RUN_FAILED} if phase == "start-up" else {COMPLETE, -number}
    if deadly(number, PASSED_ON):
        return {COMPLETE, -number}
    return {COMPLETE, -number} if number in IGNORED and phase == "start-up" else {COMPLETE}


def signal_run(tries, number, phase, delay):
    with tries.one(f"signal {number} to run, {phase}, after {delay:.4f} s"), directory() as d:
        truth = d / "truth"
        trace = Trace(d, "run", "--", f"{PROGRAMS}/shortlived", "-g", "-t", 300, "-p", 30, "-o",
                      truth)

        def begun():
            return b"ready" in trace.stdout.read_bytes()

        def done():
            return truth.exists() and truth.read_bytes().endswith(b"}\n")

        if phase == "middle":
            wait_until(lambda: begun() or trace.ended(), HANG_S, "the command does not begin")
        elif phase == "report":
            wait_until(lambda: done() or trace.ended(), HANG_S, "the command does not end")
        time.sleep(delay)
        send(trace, number)
        code = trace.ends(run_exits(number, phase) | {RUN_FAILED})
        trace.settle(code, tries)
        if code == COMPLETE:
            same_as_truth(trace.load(), faults.compare.load_truth(truth), run=True)
        elif begun() and number not in PASSED_ON:
            wait_until(done, HANG_S, "the command did not do its work to the end")


@fault
def signals():
    """Every signal, to attach and run, at a random moment of each phase in turn."""
    tries = Tries("signals at random moments")
    seed = int(os.environ.get("FAULTS_SEED", random.SystemRandom().randrange(1 << 32)))
    print(f"# FAULTS_SEED={seed}")
    dice = random.Random(seed)
    longest = {"start-up": 0.4, "middle": 0.04, "report": 0.1}
    with tries.around(), directory() as d, Service() as service, Nothing():
        churn = Program(d, "churn", "-c", 1)
        churn.pid = churn.pids[0]
        targets, phases = itertools.cycle((service, churn)), itertools.cycle(PHASES)
        works = []
        for number in SIGNALS * 2:
            phase = next(phases)
            works.append((signal_attach, tries, number, phase, dice.uniform(0, longest[phase]),
                          next(targets)))
            phase = next(phases)
            works.append((signal_run, tries, number, phase, dice.uniform(0, longest[phase])))
        in_parallel(works)
        # And after all that, the target can be counted exactly.
        trace = Trace(d, "attach", churn.pid)
        trace.wait_tracing()
        churn.go()
        truth = churn.end()
        trace.ends()
        same_as_truth(trace.load(), truth)
    return tries.finish()


@fault
def temporary():
    """A signal that kills leaves no unfinished file."""
    tries = Tries("killed: unfinished files")
    with tries.around(), directory() as d, Service() as service:
        for number in (SIG.SIGKILL, SIG.SIGSEGV, SIG.SIGABRT, SIG.SIGSYS):
            with tries.one(f"signal {number}"):
                trace = Trace(d, "attach", service.pid)
                trace.wait_tracing()
                trace.signal(number)
                trace.ends({-number})
                left = temporary_files(d)
                for path in left:
                    os.unlink(path)
                demand(not left, f"left: {left}")
    return tries.finish()


@fault
def workload_killed():
    """run-workload that is killed takes its parts and their namespaces with it."""
    tries = Tries("run-workload killed")
    dice = random.Random(int(os.environ.get("FAULTS_SEED", 1)))
    for i in range(6):
        with tries.one(f"try {i}"), directory() as d, Nothing():
            trace = Trace(d, "run-workload forwarder", options=(
                "--topology", "veth", "--seconds", "5"))
            time.sleep(dice.uniform(0.2, 1.0))
            trace.signal(signal.SIGKILL)
            trace.ends({-signal.SIGKILL})
    return tries.finish()


# --- again and again ---------------------------------------------------------------------------


def cycle(tries, number, service):
    options = (("-d", "0.01"), ("--no-sockets",), ("-d", "0.01", "-f", "--no-sockets"),
               ("--no-sockets", "--detail", "count"), ())[number % 5]
    with tries.one(f"cycle {number} with {options}"), directory() as d:
        trace = Trace(d, "attach", service.pid, options=options)
        code = trace.ends() if "-d" in options else trace.end()
        trace.settle(code, tries, ("syscall_balance",) if "--detail" in options else ())
        demand(service.lives(), "the service has ended")


@fault
def cycles():
    """200 times attach and detach."""
    tries = Tries("attach and detach")
    with tries.around(), directory() as d, Service() as service, Nothing() as nothing:
        trace = Trace(d, "attach", service.pid)  # the first look at the service may cost it memory
        trace.wait_tracing()
        mine = faults.bpf_held(trace.process.pid)
        demand({k for k, _ in mine} == {"prog", "map", "link"}, "what is held is not seen")
        demand(mine <= faults.bpf_all() - nothing.objects, "what there is, is not seen")
        trace.end()
        before = service.resident_kib()
        in_parallel((cycle, tries, i, service) for i in range(200))
        grown = service.resident_kib() - before
        demand(grown < 1024, f"the service has grown by {grown} KiB")
    return tries.finish()


# --- numbers that come again, and namespaces ---------------------------------------------------

NEW_PIDS = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")


@fault
def pid_reuse():
    """In a PID namespace where nobody else takes numbers: each comes 60 times."""
    tries = Tries("PID reuse")
    for kind, _ in itertools.product(((), ("-t",)), range(3)):
        with tries.one(f"pidreuse {kind}"), directory() as d, Nothing():
            trace = Trace(d, "run", "--", f"{PROGRAMS}/pidreuse", *kind, "-n", 60, "-o",
                          d / "truth", prefix=NEW_PIDS)
            trace.settle(trace.ends(), tries)
            same_as_truth(trace.load(), faults.compare.load_truth(d / "truth"), run=True)
    return tries.finish()


def churn_seen_from_above(tries, kind):
    with tries.one(f"target below, churn {kind}"), directory() as d, Nothing():
        churn = Program(d, "churn", *kind, "-c", 2, "-m", 50, prefix=NEW_PIDS)
        pid = int(subprocess.check_output(("ps", "-o", "pid=", "--ppid",
                                           str(churn.process.pid))).split()[0])
        trace = Trace(d, "attach", pid, options=("-f",))
        trace.wait_tracing()
        churn.go()
        truth = churn.end()
        trace.settle(trace.ends(), tries)
        demand(call_total(trace.load(), "getppid") == truth_total(truth, "getppid"),
               "not all calls are counted")


def churn_within(tries, kind):
    """socktrace and the target in one namespace."""
    script = ('mkfifo go said; "$1" "${@:3}" -g -o truth <go >said & exec 5>go 6<said; '
              'read -r word <&6; "$2" attach -f -F json -o report.json $! 2>err & trace=$!; '
              'until grep -q tracing err; do kill -0 $trace || exit 9; done; printf x >&5; '
              'wait %1 && wait $trace')
    with tries.one(f"both below, churn {kind}"), directory() as d, Nothing():
        done = subprocess.run((*NEW_PIDS, "bash", "-c", script, "-", f"{PROGRAMS}/churn",
                               faults.SOCKTRACE, *kind, "-c", "2", "-m", "50"), cwd=d, check=False,
                              timeout=HANG_S, capture_output=True)
        demand(done.returncode == 0, f"{done}")
        same_as_truth(faults.compare.load_report(d / "report.json"),
                      faults.compare.load_truth(d / "truth"))


@fault
def pid_namespaces():
    tries = Tries("PID namespaces under churn")
    for kind, _ in itertools.product(((), ("-p",)), range(2)):
        churn_seen_from_above(tries, kind)
        churn_within(tries, kind)
    with tries.one("a target beside"), directory() as d, Service() as service:
        trace = Trace(d, "attach", service.pid, prefix=NEW_PIDS)
        trace.settle(trace.ends({UNTRUSTED}), tries)
    return tries.finish()


# --- the machine changes -----------------------------------------------------------------------

CPU_ONLINE = "/sys/devices/system/cpu/cpu1/online"


def set_cpu(online):
    with open(CPU_ONLINE, "w", encoding="ascii") as f:
        f.write(str(online))


@fault
def cpu_offline():
    """A CPU goes and comes back, several times, while threads run on all."""
    faults.need_own_machine()
    try:
        set_cpu(1)
    except OSError as error:
        raise faults.Skip(f"a CPU cannot be taken offline: {error}") from error
    tries = Tries("CPU taken offline")
    try:
        for detail in ("full", "count", "full"):
            with tries.one(f"detail {detail}"), directory() as d, Nothing():
                grid = Program(d, "grid", "-l", "-p", 2, "-t", 4, "-n", 20000)
                trace = Trace(d, "attach", *grid.pids, options=("--detail", detail))
                trace.wait_tracing()
                grid.go()
                for _ in range(5):
                    set_cpu(0)
                    time.sleep(0.02)
                    set_cpu(1)
                    time.sleep(0.02)
                truth = grid.end()
                code = trace.ends({COMPLETE, UNTRUSTED})
                trace.settle(code, tries, ("syscall_balance",) if detail == "count" else ())
                if code == COMPLETE:
                    same_as_truth(trace.load(), truth)
    finally:
        set_cpu(1)
    return tries.finish()


def demand_time(report, seconds):
    capture = report["capture"]
    demand(0 < capture["duration_ns"] < seconds * 1e9, f"duration {capture['duration_ns']}")
    for process in report["processes"]:
        for thread in process["threads"]:
            cpu = thread["cpu"]
            lived = cpu["on_cpu_ns"] + cpu["runnable_ns"] + cpu["blocked_ns"]
            demand(lived <= capture["duration_ns"] + 10_000_000, f"a thread of {lived} ns")
        for s in process["sockets"]:
            demand(s["opened_ns"] is None or s["opened_ns"] < capture["duration_ns"], "opened_ns")


def step_clock(seconds):
    time.clock_settime_ns(time.CLOCK_REALTIME,
                          time.clock_gettime_ns(time.CLOCK_REALTIME) + seconds * 10 ** 9)


@fault
def clock_step():
    """CLOCK_REALTIME an hour ahead, and back by what it was set."""
    faults.need_own_machine()
    tries = Tries("clock stepped")
    for step_s in (3600, -3600):
        with tries.one(f"{step_s} s"), directory() as d, Service() as service:
            began = time.time()
            trace = Trace(d, "attach", service.pid)
            trace.wait_tracing()
            step_clock(step_s)
            time.sleep(0.02)
            step_clock(-step_s)
            trace.end()
            report = trace.load()
            sound(report)
            demand_time(report, time.time() - began + 1)
            started = datetime.fromisoformat(report["capture"]["started"].replace("Z", "+00:00"))
            demand(began - 1 < started.timestamp() < time.time(), f"started {started}")
    return tries.finish()


NEW_TIME = ("unshare", "--time", "--fork", "--kill-child", "--monotonic", "100000", "--boottime",
            "200000")


@fault
def time_target():
    """Targets whose monotonic clocks are a day ahead."""
    tries = Tries("target in a time namespace")
    for name, *args in (("connects", "-n", 50), ("churn", "-c", 2), ("vforks",)):
        with tries.one(name), directory() as d, Nothing():
            began = time.time()
            program = Program(d, name, *args, prefix=NEW_TIME)
            pids = program.pids
            if pids == [program.process.pid]:  # unshare itself
                pids = [int(p) for p in subprocess.check_output(
                    ("ps", "-o", "pid=", "--ppid", str(pids[0]))).split()]
            trace = Trace(d, "attach", *pids, options=("-f",))
            trace.wait_tracing()
            program.go()
            truth = program.end()
            trace.ends()
            same_as_truth(trace.load(), truth)
            demand_time(trace.load(), time.time() - began)
    return tries.finish()


@fault
def time_self():
    """socktrace where the monotonic clocks are a day ahead: right, or no report."""
    tries = Tries("socktrace in a time namespace")
    with tries.one("run"), directory() as d, Nothing():
        trace = Trace(d, "run", "--", f"{PROGRAMS}/connects", "-n", 50, "-o", d / "truth",
                      prefix=NEW_TIME)
        trace.settle(trace.ends({COMPLETE, RUN_FAILED}), tries)
        if trace.report.exists():
            report = trace.load()
            same_as_truth(report, faults.compare.load_truth(d / "truth"), run=True)
            demand_time(report, HANG_S)
            # After the execve that the trace begins with, and before they were closed.
            times = [(s["opened_ns"], s["closed_ns"]) for p in report["processes"]
                     for s in p["sockets"] if s["connections"] == 1 and s["closed_ns"] is not None]
            demand(times and all(0 < o < c for o, c in times), f"sockets live {times[:3]}")
    with tries.one("attach"), directory() as d, Service() as service, Nothing():
        trace = Trace(d, "attach", service.pid, options=("-d", "0.1"), prefix=NEW_TIME)
        code = trace.ends({COMPLETE, UNTRUSTED})
        trace.settle(code, tries)
        demand(code == COMPLETE or "time namespace" in trace.text(),
               f"the reason is not the true one: {trace.text()}")
        if code == COMPLETE:
            demand_time(trace.load(), HANG_S)
    return tries.finish()


# --- the storm and the crowd -------------------------------------------------------------------


@fault
def storm():
    """50,000 processes, most of which have no row of their own in the report."""
    tries = Tries("50,000 short-lived processes")
    with tries.one("storm"), directory() as d, Nothing():
        trace = Trace(d, "run", "--", f"{PROGRAMS}/storm", "-p", 50000, "-o", d / "truth")
        code = trace.wait(60)
        demand(code in (COMPLETE, UNTRUSTED), f"ended with {code}: {trace.text()}")
        trace.settle(code, tries)
        truth = faults.compare.load_truth(d / "truth")
        if code == COMPLETE:
            report = trace.load()
            for name, field in (("clone", "calls"), ("getppid", "calls"),
                                ("exit_group", "no_return")):
                want, have = (f(x, name, field) for f, x in ((truth_total, truth),
                                                             (call_total, report)))
                demand(want == have, f"{name}.{field}: expected {want}, observed {have}")
    return tries.finish()


@fault
def crowd():
    """10,000 threads at once in one process."""
    tries = Tries("10,000 threads at once")
    room = ("--max-threads", "12000")
    with tries.one("run"), directory() as d, Nothing():
        trace = Trace(d, "run", "--", f"{PROGRAMS}/crowd", "-t", 10000, "-o", d / "truth",
                      options=room)
        trace.settle(trace.ends(), tries)
        same_as_truth(trace.load(), faults.compare.load_truth(d / "truth"), run=True)
    with tries.one("attach"), directory() as d, Nothing():
        program = Program(d, "crowd", "-t", 10000)
        trace = Trace(d, "attach", program.process.pid, options=room)
        trace.wait_tracing()
        program.go()
        truth = program.end()
        trace.settle(trace.ends(), tries)
        same_as_truth(trace.load(), truth)
    with tries.one("without room"), directory() as d, Nothing():
        trace = Trace(d, "run", "--", f"{PROGRAMS}/crowd", "-t", 10000, "-o", d / "truth",
                      options=("--max-threads", "6000", "--allow-partial"))
        trace.ends({RUN_FAILED})
        partial(trace, ["tasks_full"])
    return tries.finish()


def main():
    ctypes.CDLL(None).prctl(36, 1)  # PR_SET_CHILD_SUBREAPER
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    found = dict(FAULTS, **{f.__name__: f for f in faults_limits.ALL})
    try:
        return found[sys.argv[1]]()
    except faults.Skip as why:
        print(why)
        return 77
    finally:
        faults.end_children()


if __name__ == "__main__":
    sys.exit(main())
