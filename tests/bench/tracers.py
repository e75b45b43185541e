# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""The tracers that comparison.py compares: how each is started, when it traces, what it counted."""

import collections
import ctypes
import json
import os
import re
import select
import shutil
import signal
import subprocess
import time

READY_S = 30  # a tool that does not trace by then has failed
END_S = 30    # nor has one that does not end by then succeeded
AGAIN_S = 3   # after which one that does not end is interrupted again
SEARCH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])


class Failed(Exception):
    """A tool, or what it traced, did not do what it should; the message says what."""


# --- system calls -------------------------------------------------------------------------------

def call_number(name):
    """Of this machine's own ABI, by libseccomp, which knows all of them."""
    library = ctypes.CDLL("libseccomp.so.2")
    number = library.seccomp_syscall_resolve_name(name.encode())
    return None if number < 0 else number


def call_of(pid):
    """The number of the call that the first thread of a process is blocked in, else None."""
    try:
        with open(f"/proc/{pid}/syscall", encoding="ascii") as f:
            word = f.read().split()[0]
    except (OSError, IndexError):
        return None
    return int(word) if word.isdecimal() else None


def is_blocked_in(pid, *names):
    number = call_of(pid)
    return number is not None and number in [call_number(name) for name in names]


def has_descriptor(pid, kind):
    folder = f"/proc/{pid}/fd"
    try:
        return any(kind in os.readlink(f"{folder}/{fd}") for fd in os.listdir(folder))
    except OSError:
        return False


# --- what tools print ---------------------------------------------------------------------------

# Each: text, names of the calls asked for -> {name: calls}; names that are not there have none.

def parse_socktrace(text, names):
    calls = collections.Counter()
    for process in json.loads(text)["processes"]:
        for call in process["syscalls"]:
            calls[call["name"]] += call["calls"]
    return calls


def parse_strace(text, names):
    """The table of -c: % time, seconds, usecs/call, calls, errors (may be empty), syscall."""
    row = re.compile(r"^ *[\d.]+ +[\d.]+ +\d+ +(\d+)(?: +\d+)? +(\w+)$", re.M)
    calls = collections.Counter()
    for count, name in row.findall(text):
        if name != "total":
            calls[name] += int(count)
    return calls


def parse_perf(text, names):
    """The tables of perf trace -s, one of each thread: syscall, calls, then other numbers."""
    calls = collections.Counter()
    for name, count in re.findall(r"^ +(\w+) +(\d+) +[\d.]+ +[\d. ]+.*$", text, re.M):
        calls[name] += int(count)
    return calls


def parse_bpftrace(text, names):
    by_number = collections.Counter()
    for number, count in re.findall(r"^@calls\[(\d+)\]: (\d+)$", text, re.M):
        by_number[int(number)] += int(count)
    return collections.Counter({name: by_number[call_number(name)] for name in names})


def parse_syscount(text, names):
    calls = collections.Counter()
    for name, count in re.findall(r"^(\w+) +(\d+)(?: +[\d.]+)?$", text, re.M):
        calls[name] += int(count)
    return calls


# --- a tool under way ---------------------------------------------------------------------------

def end_with_parent():
    """In a child, before exec: it ends if the benchmark is killed."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


def read(path):
    with open(path, encoding="utf-8", errors="replace") as f:
        return f.read()


def last_line(path, most=400):
    """What to say of a failure: the last line with something in it."""
    lines = [line.strip()[:most] for line in read(path).splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"


def filters_of(pid):
    """How many for seccomp(2): in a container every process has one (Linux 5.9)."""
    return int(re.search(r"^Seccomp_filters:\s+(\d+)$", read(f"/proc/{pid}/status"), re.M)[1])


def status_text(status):
    return f"signal {-status}" if status < 0 else f"status {status}"


class Tool:
    """One run of a tracer. Either finish() or abandon() ends it."""

    def __init__(self, tracer, command, folder, **how):
        self.tracer = tracer
        self.out, self.err = f"{folder}/tool.out", f"{folder}/tool.err"
        self.status = self.usage = self.peak_bytes = None
        with open(self.err, "wb") as err, open(self.out, "wb") as out:
            self.began = time.monotonic_ns()
            self.process = subprocess.Popen(command, preexec_fn=end_with_parent, **{
                "stdin": subprocess.DEVNULL, "stdout": out, "stderr": err, **how})
        self.pid = self.process.pid

    def await_ready(self):
        """Until it traces; in ns since it was started."""
        end = time.monotonic() + READY_S
        while not self.tracer.is_ready(self):
            if self.has_ended(0):
                raise Failed(f"ended before it traced: {last_line(self.err)}")
            if time.monotonic() > end:
                raise Failed(f"did not trace within {READY_S} s")
            time.sleep(0.001)
        return time.monotonic_ns() - self.began

    def has_ended(self, seconds):
        """Waits so long at most, and takes its status and what it used."""
        if self.status is not None:
            return True
        descriptor = os.pidfd_open(self.pid)
        try:
            poll = select.poll()
            poll.register(descriptor, select.POLLIN)
            if not poll.poll(seconds * 1000):
                return False
        finally:
            os.close(descriptor)
        _, status, self.usage = os.wait4(self.pid, 0)
        self.status = self.process.returncode = os.waitstatus_to_exitcode(status)
        return True

    def finish(self, names):
        """Figures. What it traced has ended."""
        if not (self.tracer.ends_with_target and self.has_ended(END_S)):
            self.interrupt()
        duration_ns = time.monotonic_ns() - self.began
        if self.status not in self.tracer.good_statuses:
            raise Failed(f"ended with {status_text(self.status)}: {last_line(self.err)}")
        return {"duration_ns": duration_ns, "counted_calls": self.counted(names),
                "tool_cpu_ns": self.cpu_ns(), "tool_rss_bytes": self.peak_bytes}

    def interrupt(self):
        """As often as it takes, as a user would: bpftrace 0.17 forgets a SIGINT that comes between
        two epoll_wait(2), where it is for long if it has to wait for a CPU."""
        end = time.monotonic() + END_S
        while not self.has_ended(0):
            if time.monotonic() > end:
                raise Failed(f"did not end within {END_S} s")
            os.kill(self.pid, signal.SIGINT)  # Popen's would take its status, if it has ended
            self.has_ended(AGAIN_S)

    def counted(self, names):
        parse = self.tracer.parse
        if not parse:
            return None
        try:
            calls = parse(read(self.out), names)
        except (ValueError, KeyError, TypeError) as why:
            raise Failed(f"its output cannot be read: {why!r}") from why
        return sum(calls[name] for name in names)

    def note_use(self):
        """After the load, before anything ends. ru_maxrss would be at least our own: what forked
        counts in it, even before exec."""
        peak = None
        if not self.has_ended(0):  # if it does now, it is a process without memory
            peak = re.search(r"^VmHWM:\s+(\d+) kB$", read(f"/proc/{self.pid}/status"), re.M)
        if not peak:
            raise Failed(f"ended under the load: {last_line(self.err)}")
        self.peak_bytes = int(peak[1]) * 1024

    def cpu_ns(self):
        """Of itself and its children, as the kernel accounts it."""
        return round((self.usage.ru_utime + self.usage.ru_stime) * 1e9)

    def abandon(self):
        if not self.has_ended(0):
            os.kill(self.pid, signal.SIGKILL)
            self.has_ended(END_S)


class Starter(Tool):
    """A tool that starts its target, whose CPU time wait4(2) would add to it: its own is read
    before the target ends, so that printing the table is not in it."""

    noted_ns = None

    def target_pid(self):
        pids = read(f"/proc/{self.pid}/task/{self.pid}/children").split()
        if len(pids) != 1:
            raise Failed(f"{self.tracer.name} has {len(pids)} children, not one")
        return int(pids[0])

    def note_use(self):
        super().note_use()
        self.noted_ns = int(read(f"/proc/{self.pid}/schedstat").split()[0])

    def cpu_ns(self):
        return self.noted_ns

    def check_filter(self):
        """strace goes on without the filter, and does not say so."""
        if filters_of(self.target_pid()) <= filters_of("self"):
            raise Failed("the filter for seccomp(2) was not installed")


# --- the table ----------------------------------------------------------------------------------

class Tracer:
    """One row. @command: what follows the program, PID standing for the process, CALLS for the
    calls asked for; @traces: tells from a Tool whether it traces."""

    def __init__(self, name, programs, command, traces, parse, *, package=None,
                 ends_with_target=False, starts_target=False, good_statuses=(0,), version=None):
        self.name = name
        self.programs = programs  # the names that it goes by; () if it is one of ours
        self.words = command
        self.is_ready = traces
        self.parse = parse
        self.package = package
        self.ends_with_target = ends_with_target
        self.starts_target = starts_target
        self.good_statuses = good_statuses
        self.version_words = version

    def program(self):
        return find(self.programs)

    def command(self, ours, pid, names):
        """@ours: {word: path} of the programs that are not looked for."""
        known = {**ours, "PID": str(pid), "CALLS": ",".join(names), "PROGRAM": self.program()}
        return [re.sub("|".join(known), lambda m: known[m[0]], word) for word in self.words]

    def attach(self, ours, pid, names, folder):
        return Tool(self, self.command({**ours, "OUT": f"{folder}/tool.out"}, pid, names), folder)

    def start(self, ours, names, folder, target, **how):
        """With the target's own command."""
        command = self.command({**ours, "OUT": f"{folder}/tool.out"}, "", names)
        return Starter(self, [*command, *target], folder, **how)


def find(programs):
    return next((path for name in programs if (path := shutil.which(name, path=SEARCH))), None)


def says(word, stream):
    return lambda tool: word in read(getattr(tool, stream))


def sleeps_in_poll(tool):
    """perf says nothing. It first opens its events, then enables them, then sleeps in poll(2)."""
    return has_descriptor(tool.pid, "[perf_event]") and is_blocked_in(tool.pid, "poll", "ppoll")


# Predicate and table by thread are those of its own documents. What BEGIN prints is only shown once
# all probes are attached.
BPFTRACE = """
BEGIN { printf("ready\\n"); }
tracepoint:raw_syscalls:sys_enter /pid == PID/ { @start[tid] = nsecs; }
tracepoint:raw_syscalls:sys_exit /pid == PID && @start[tid]/ {
	@calls[args->id] = count();
	@ns[args->id] = sum(nsecs - @start[tid]);
	delete(@start[tid]);
}
END { clear(@start); }
"""

# syscount shows ten calls, and fills a buffer with what it prints, unless told otherwise.
SYSCOUNT = ["stdbuf", "-oL", "PROGRAM", "-T", "500"]
STRACE = {"package": "strace", "version": ["--version"]}
ATTACHED = {"ends_with_target": True, "good_statuses": (0, -signal.SIGINT)}
LIBBPF_TOOLS = {"package": "libbpf-tools", "version": ["--version"]}

UNTRACED = Tracer("untraced", (), [], None, None)
TRACERS = [
    UNTRACED,
    Tracer("floor", (), ["FLOOR"], says("tracing", "err"), None),
    Tracer("socktrace full", (), ["SOCKTRACE", "attach", "--detail", "full", "-F", "json", "PID"],
           says("tracing", "err"), parse_socktrace, ends_with_target=True),
    Tracer("socktrace count", (), ["SOCKTRACE", "attach", "--detail", "count", "-F", "json", "PID"],
           says("tracing", "err"), parse_socktrace, ends_with_target=True),
    Tracer("strace", ("strace",), ["PROGRAM", "-c", "-w", "-f", "-o", "OUT", "-p", "PID"],
           says("attached", "err"), parse_strace, **STRACE, **ATTACHED),
    Tracer("strace --seccomp-bpf", ("strace",),
           ["PROGRAM", "--seccomp-bpf", "-c", "-w", "-f", "-e", "trace=CALLS", "-o", "OUT"],
           None, parse_strace, starts_target=True, ends_with_target=True,
           good_statuses=(0, -signal.SIGINT, -signal.SIGKILL), **STRACE),
    Tracer("perf trace", ("perf",), ["PROGRAM", "trace", "-s", "-o", "OUT", "-p", "PID"],
           sleeps_in_poll, parse_perf, package="linux-perf", version=["--version"],
           ends_with_target=True),
    Tracer("bpftrace", ("bpftrace",), ["PROGRAM", "-e", BPFTRACE], says("ready", "out"),
           parse_bpftrace, package="bpftrace", version=["--version"]),
    Tracer("syscount", ("syscount", "bpf-syscount"), [*SYSCOUNT, "-p", "PID"],
           says("Tracing", "out"), parse_syscount, **LIBBPF_TOOLS),
    Tracer("syscount -L", ("syscount", "bpf-syscount"), [*SYSCOUNT, "-L", "-p", "PID"],
           says("Tracing", "out"), parse_syscount, **LIBBPF_TOOLS),
]


# --- versions -----------------------------------------------------------------------------------

def version_of(program, words):
    """The first line of what it says of itself, or None."""
    run = subprocess.run([program, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, text=True, timeout=READY_S, check=False)
    lines = run.stdout.splitlines()
    found = re.search(r"\d+(\.\d+)+\S*", lines[0]) if lines else None
    return found[0] if found else None


def tool_row(programs, words, package):
    """As the report lists it."""
    path = find(programs)
    return {"name": programs[0], "version": version_of(path, words) if path else None,
            "package": package,
            "absent": None if path else f"{' and '.join(programs)} not found"}
