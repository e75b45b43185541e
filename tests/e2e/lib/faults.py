#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""What the tests of faults share: targets, traces that are disturbed, and what must hold after.

A try has survived if socktrace ended as its contract says, its report is right or is marked, the
target goes on, and nothing is left. Tries are counted; see Tries.
"""

import argparse
import contextlib
import glob
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor

import compare

SOCKTRACE = os.environ["SOCKTRACE"]
PROGRAMS = os.environ["E2E_BIN"]
HANG_S = int(os.environ.get("TIMEOUT", 60))  # only turns a hang into a failure
AT_ONCE = 6  # more is not faster: the kernel takes programs away one after the other
GONE_S = 2  # for the kernel to remove what a process held
PLAIN = ("env", "--default-signal")  # whatever the test itself inherited
COMPLETE, FAILED, UNTRUSTED, RUN_FAILED = 0, 1, 3, 125


class Problem(Exception):
    """A promise that was not kept."""


class Skip(Exception):
    """Why a fault cannot be tried here."""


def need_own_machine():
    """For faults that all processes of the machine meet."""
    if os.environ.get("FAULTS_OF_MACHINE") != "yes":
        raise Skip("it would hit the whole machine: FAULTS_OF_MACHINE=yes allows that")


def demand(holds, text):
    if not holds:
        raise Problem(text)


def wait_until(holds, seconds, text):
    end = time.monotonic() + seconds
    while not holds():
        demand(time.monotonic() < end, text() if callable(text) else text)
        time.sleep(0.002)


class Tries:
    """Counts tries of a fault; a line of the table comes of it at the end, even of a failure."""

    def __init__(self, fault):
        self.fault = fault
        self.tried = self.survived = self.marked = self.failures = 0
        self.lock = threading.Lock()

    @contextlib.contextmanager
    def around(self, what="all together"):
        """What must hold for all tries together."""
        try:
            yield
        except Problem as problem:
            text = problem
        except Exception:  # a test that is broken must not look like a passed one
            text = traceback.format_exc()
        else:
            return
        print(f"{self.fault}: {what}: {text}", file=sys.stderr)
        with self.lock:
            self.failures += 1

    @contextlib.contextmanager
    def one(self, what):
        with self.lock:
            self.tried += 1
        with self.around(what):
            yield
            with self.lock:
                self.survived += 1

    def mark(self):
        """The report of this try was rightly not trusted."""
        with self.lock:
            self.marked += 1

    def finish(self):
        with open(os.environ["FAULTS_TABLE"], "a", encoding="utf-8") as f:
            f.write(f"{self.fault}\t{self.tried}\t{self.survived}\t{self.marked}\n")
        return 0 if self.tried and not self.failures else 1


def in_parallel(works):
    """Each is a function and its arguments."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for result in [pool.submit(work, *args) for work, *args in works]:
            result.result()


@contextlib.contextmanager
def directory(within=os.environ["T"]):
    with tempfile.TemporaryDirectory(dir=within, ignore_cleanup_errors=True) as path:
        yield pathlib.Path(path)


# --- what is left ------------------------------------------------------------------------------


def bpf_ids(kind):
    said = subprocess.run(("bpftool", "-j", kind, "show"), check=False, capture_output=True)
    try:
        return {(kind, o["id"]) for o in json.loads(said.stdout or "[]") if "id" in o}
    except (json.JSONDecodeError, TypeError):  # one went away while it was being listed
        return bpf_ids(kind)


def bpf_all():
    return bpf_ids("prog") | bpf_ids("map") | bpf_ids("link")


def bpf_held(pids="*"):
    """What processes hold a descriptor of."""
    held = set()
    for path in glob.iglob(f"/proc/{pids}/fdinfo/*"):
        with contextlib.suppress(OSError), open(path, encoding="utf-8") as f:
            for line in f:
                key, _, value = line.partition(":")
                if key in ("prog_id", "map_id", "link_id"):
                    held.add((key[:-3], int(value)))
    return held


def children():
    found = set()
    for path in glob.iglob("/proc/self/task/*/children"):
        with contextlib.suppress(OSError), open(path, encoding="utf-8") as f:
            found |= {int(pid) for pid in f.read().split()}
    return found


def namespaces():
    """Those with a name, which alone can outlive their processes."""
    return set(glob.glob("/run/netns/*"))


def reap_orphans(known):
    """Children of a socktrace that was killed come to us, who are a subreaper."""
    for pid in children() - known:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
    return children() - known


def end_children():
    """Whatever a failed try has left running."""
    while children():
        for pid in children():
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)


class Nothing:
    """Nothing is left of what happens within: BPF objects, processes, network namespaces."""

    def __enter__(self):
        self.objects, self.children, self.namespaces = bpf_all(), children(), namespaces()
        return self

    def left(self):
        """New objects that nobody holds: others on the machine may trace, too."""
        return bpf_all() - self.objects - bpf_held()

    def __exit__(self, kind, *_):
        if kind:
            return
        wait_until(lambda: not reap_orphans(self.children), HANG_S,
                   lambda: f"processes are left: {children() - self.children}")
        left = self.left()

        def gone():  # those of others come and go, and no number is used again
            nonlocal left
            left &= self.left() if left else left
            return not left

        wait_until(gone, GONE_S, lambda: f"left in the kernel: {left}")
        demand(namespaces() <= self.namespaces, "network namespaces are left")


def temporary_files(path):
    return [str(p) for p in path.glob(".socktrace-*")]


# --- targets -----------------------------------------------------------------------------------


class Program:
    """A program of tests/e2e/programs that waits under -g for the word to go."""

    def __init__(self, path, name, *args, prefix=()):
        self.truth = path / f"{name}.truth.json"
        self.process = subprocess.Popen(
            (*PLAIN, *prefix, f"{PROGRAMS}/{name}", "-g", "-o", self.truth, *map(str, args)),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        said = self.process.stdout.readline().split()
        demand(said and said[0] == "ready", f"{name} says {said}")
        self.pids = [int(p) for p in said[1:]] or [self.process.pid]

    def go(self):
        self.process.stdin.write("x")
        self.process.stdin.flush()

    def lives(self):
        return self.process.poll() is None

    def end(self):
        """It has done all its work, and found nothing amiss."""
        code = self.process.wait(HANG_S)
        demand(code == 0, f"the target ended with {code}")
        return compare.load_truth(self.truth)

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


def serve():
    """A service: answers each number with the next. Prints its port."""
    def answer(connection):
        with connection, connection.makefile("rw") as f:
            for line in f:
                f.write(f"{int(line) + 1}\n")
                f.flush()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        while True:
            threading.Thread(target=answer, args=listener.accept()[:1], daemon=True).start()


def ask(port, clients=3):
    """Its clients, in threads: prints how many right answers they got once stdin has ended."""
    ended, answers, wrong = threading.Event(), [0] * clients, []

    def client(i):
        while not ended.is_set():
            with socket.create_connection(("127.0.0.1", port)) as c, c.makefile("rw") as f:
                for n in range(20):
                    f.write(f"{n}\n")
                    f.flush()
                    if f.readline() != f"{n + 1}\n":
                        wrong.append(n)
                    answers[i] += 1
            time.sleep(0.005)

    threads = [threading.Thread(target=client, args=(i,)) for i in range(clients)]
    for thread in threads:
        thread.start()
    sys.stdin.read()
    ended.set()
    for thread in threads:
        thread.join()
    print(sum(answers) if not wrong else -1)


class Service:
    """A loaded service, whose clients look at every answer."""

    def __enter__(self):
        me = (sys.executable, __file__)
        self.server = subprocess.Popen((*PLAIN, *me, "serve"), stdout=subprocess.PIPE, text=True)
        port = self.server.stdout.readline().strip()
        self.clients = subprocess.Popen((*PLAIN, *me, "ask", port), stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.pid = self.server.pid
        return self

    def resident_kib(self):
        with open(f"/proc/{self.pid}/status", encoding="utf-8") as f:
            status = dict(line.split(":", 1) for line in f)
        return int(status["VmRSS"].split()[0])

    def lives(self):
        return self.server.poll() is None and self.clients.poll() is None

    def __exit__(self, kind, *_):
        try:
            said, _ = self.clients.communicate("", HANG_S)
            demand(kind or int(said) > 0, f"the service answered wrongly: {said}")
            demand(kind or self.server.poll() is None, "the service has ended")
        finally:
            for process in (self.clients, self.server):
                process.kill()
                process.wait()
            self.server.stdout.close()


# --- traces ------------------------------------------------------------------------------------


class Trace:
    """A socktrace that may be disturbed. Its report goes to @report, what it says to @said."""

    def __init__(self, path, command, *args, options=(), prefix=(), output=True, stdout=None):
        self.path, self.report, self.said = path, path / "report.json", path / "said"
        self.stdout = path / "stdout"
        out = ("-o", self.report) if output else ()
        with open(self.said, "wb") as err, open(self.stdout, "wb") as to:
            self.process = subprocess.Popen(
                (*PLAIN, *prefix, SOCKTRACE, *command.split(), "-F", "json", *out, *options,
                 *map(str, args)),
                stdin=subprocess.DEVNULL, stdout=to if stdout is None else stdout, stderr=err)

    def text(self):
        return self.said.read_text(errors="replace")

    def ended(self):
        return self.process.poll() is not None

    def wait_tracing(self):
        """Until it says so, or has ended."""
        wait_until(lambda: self.ended() or "tracing" in self.text(), HANG_S,
                   lambda: f"does not trace: {self.text()}")

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self, seconds=HANG_S):
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise Problem(f"hangs: {self.text()}") from None

    def end(self, allowed=(COMPLETE,)):
        """By Ctrl-C, unless it has ended."""
        self.wait_tracing()
        self.signal(signal.SIGINT)
        return self.ends(allowed)

    def ends(self, allowed=(COMPLETE,)):
        code = self.wait()
        demand(code in allowed, f"ended with {code}, not one of {list(allowed)}: {self.text()}")
        if code not in (COMPLETE, -signal.SIGINT):
            demand(code < 0 or self.text(), f"ended with {code} and did not say why")
        return code

    def load(self):
        try:
            return compare.load_report(self.report)
        except ValueError as error:
            raise Problem(f"the report is not JSON: {error}") from error

    def settle(self, code, tries, nulls=()):
        """A report is right, and there if socktrace says so; or there is none."""
        if code == COMPLETE:
            demand(self.report.exists(), "ended with 0, without a report")
        if code in (UNTRUSTED, RUN_FAILED):
            demand(not self.report.exists(), "a report that cannot be trusted was written")
            tries.mark()
        if self.report.exists():
            sound(self.load(), nulls)


def sound(report, nulls=()):
    problems = compare.Problems()
    compare.check_sound(problems, report, list(nulls))
    demand(not problems.count, f"{problems.count} defects in the report")


def same_as_truth(report, truth, run=False, only=None):
    options = argparse.Namespace(run=run, only=only, root_only=False, abi=os.uname().machine)
    problems = compare.Problems()
    compare.check_sound(problems, report, [])
    compare.compare_report(problems, truth, report, options)
    demand(not problems.count, f"{problems.count} differences from the truth")


def call_total(report, name, field="calls"):
    return sum(c[field] for p in report["processes"] for c in p["syscalls"] if c["name"] == name)


def truth_total(truth, name, field="calls"):
    return sum(c.get(field, 0) for p in truth["processes"] for t in p["threads"]
               for c in t["calls"] if c["name"] == name)


def partial(trace, reasons):
    """A report under --allow-partial: marked, and it says what was lost."""
    report = trace.load()
    lost = report["capture"]["lost"]
    demand(report["capture"]["complete"] is False, "losses, but marked as complete")
    demand(any(lost[r] for r in reasons), f"none of {reasons} is counted: {lost}")
    demand([a["ok"] for a in report["audits"] if a["name"] == "lost"] == [False],
           "the audit of losses does not fail")
    return report


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve()
    else:
        ask(int(sys.argv[2]))
