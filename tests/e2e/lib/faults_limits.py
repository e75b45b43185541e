# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""Faults of want: memory, room in maps, descriptors, places to write to, /proc and /sys."""

import contextlib
import ctypes
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import threading
import time

import faults
from faults import (COMPLETE, FAILED, RUN_FAILED, UNTRUSTED, Nothing, Program, Service, Trace,
                    Tries, call_total, demand, directory, in_parallel, partial, same_as_truth,
                    temporary_files, truth_total, wait_until)

MIB = 1 << 20


# --- memory ------------------------------------------------------------------------------------


def memory_controller():
    """Where groups are made, and the file that limits one: of version 2, or 1."""
    v2, v1 = pathlib.Path("/sys/fs/cgroup"), pathlib.Path("/sys/fs/cgroup/memory")
    if (v2 / "cgroup.subtree_control").exists() and "memory" in (
            v2 / "cgroup.subtree_control").read_text():
        return v2, "memory.max"
    if (v1 / "memory.limit_in_bytes").exists():
        return v1, "memory.limit_in_bytes"
    return None


@contextlib.contextmanager
def memory_group(limit_bytes):
    """A command that enters a group with that limit."""
    top, name = memory_controller()
    group = top / f"socktrace-faults-{os.getpid()}"
    group.mkdir()
    try:
        (group / name).write_text(str(limit_bytes))
        yield "sh", "-c", f'echo $$ >"{group}/cgroup.procs" && exec "$@"', "-"
    finally:
        # Memory of BPF maps is given back a little after the last process.
        def removed():
            try:
                group.rmdir()
            except OSError:
                return False
            return True
        wait_until(removed, faults.HANG_S, "the group cannot be removed")


def memory():
    """From too little to start with, to enough."""
    if not memory_controller():
        raise faults.Skip("no cgroup that limits memory")
    tries = Tries("memory limit")
    ends = []
    with tries.around(), Service() as service, Nothing():
        for mib in (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 40, 64):
            with tries.one(f"{mib} MiB"), directory() as d, memory_group(mib * MIB) as prefix:
                trace = Trace(d, "attach", service.pid, options=("-d", "0.05"), prefix=prefix)
                code = trace.wait()
                ends.append(code)
                demand(code in (COMPLETE, FAILED, UNTRUSTED, -signal.SIGKILL),
                       f"ended with {code}: {trace.text()}")
                demand(code <= 0 or trace.text(), "did not say why")
                trace.settle(code, tries)
                demand(service.lives(), "the service has ended")
    with tries.one("both ends were met"):
        demand(ends[0] != COMPLETE and ends[-1] == COMPLETE, f"ended with {ends}")
    return tries.finish()


# --- room in maps ------------------------------------------------------------------------------


def distinct_calls(threads):
    """So many threads that make 400 calls that no kernel has, each three times. Prints how many."""
    libc = ctypes.CDLL(None)

    def work():
        for _ in range(3):
            for nr in range(600, 1000):
                libc.syscall(nr)

    all_threads = [threading.Thread(target=work) for _ in range(threads)]
    for t in all_threads:
        t.start()
    for t in all_threads:
        t.join()
    print(3 * threads)


def calls_of_none(report):
    return [c["calls"] for p in report["processes"] for c in p["syscalls"]
            if 600 <= c["nr"] < 1000]


def too_few_threads(tries, room, kind):
    with tries.one(f"{room} threads, churn {kind}"), directory() as d, Nothing():
        churn = Program(d, "churn", *kind, "-c", 4, "-m", 50)
        trace = Trace(d, "attach", churn.process.pid,
                      options=("-f", "--max-threads", str(room), "--allow-partial"))
        trace.wait_tracing()
        churn.go()
        truth = churn.end()
        code = trace.ends({COMPLETE, UNTRUSTED})
        demand(code == UNTRUSTED or room > 4, "no loss, although there is no room")
        if code == COMPLETE:
            same_as_truth(trace.load(), truth)
            return
        tries.mark()
        report = partial(trace, ["tasks_full", "processes_full"])
        demand(call_total(report, "getppid") <= truth_total(truth, "getppid"),
               "more calls than were made")


def too_few_sockets(tries, room):
    with tries.one(f"{room} sockets"), directory() as d, Nothing():
        program = Program(d, "connects", "-n", 400, "-l", 16)
        trace = Trace(d, "attach", *program.pids,
                      options=("--max-sockets", str(room), "--allow-partial"))
        trace.wait_tracing()
        program.go()
        truth = program.end()
        trace.ends({UNTRUSTED})
        tries.mark()
        report = partial(trace, ["sockets_full", "uses_full"])
        for name in ("connect", "accept"):  # that sockets are lost loses no calls
            demand(call_total(report, name) >= truth_total(truth, name), f"{name} is missing")


def distinct(tries, room, threads, lost):
    with tries.one(f"room for {room} threads, {threads} with many calls"), directory() as d, \
            Nothing():
        trace = Trace(d, "run", "--", sys.executable, __file__, threads,
                      options=("--max-threads", str(room), "--allow-partial"))
        trace.ends({RUN_FAILED if lost else COMPLETE})
        each = int(trace.stdout.read_text())
        if lost:
            tries.mark()
            report = partial(trace, lost)
            demand(all(n <= each for n in calls_of_none(report)), "more calls than were made")
        else:
            counted = calls_of_none(trace.load())
            demand(counted == [each] * 400, f"{len(counted)} calls, {set(counted)} times")


def maps():
    """Every pool too small."""
    tries = Tries("maps at their limit")
    for room in (2, 4, 8, 16):
        too_few_threads(tries, room, ())
        too_few_threads(tries, room, ("-p",))
    for room in (16, 20):
        too_few_sockets(tries, room)
    rows = ["rows_full", "blocks_full"]
    distinct(tries, 8, 2, rows)
    distinct(tries, 64, 4, rows)
    distinct(tries, 90, 2, rows)
    distinct(tries, 6144, 8, None)
    return tries.finish()


# --- others who trace --------------------------------------------------------------------------

BPFTRACE = """
tracepoint:raw_syscalls:sys_enter /WANTED/ { @entered = count(); }
tracepoint:raw_syscalls:sys_exit /WANTED/ { @returned = count(); }
tracepoint:syscalls:sys_enter_getppid /WANTED/ { @getppid = count(); }
tracepoint:sched:sched_switch { @switches = count(); }
BEGIN { printf("begun\\n"); }
"""


@contextlib.contextmanager
def bpftrace(path, pids):
    program = BPFTRACE.replace("WANTED", " || ".join(f"pid == {pid}" for pid in pids))
    # It asks tracefs for tracepoints, which nobody may have mounted.
    script = "mount -t tracefs tracefs /sys/kernel/tracing; exec bpftrace -e \"$1\""
    with open(path / "bpftrace", "wb") as out:
        process = subprocess.Popen(("unshare", "-m", "sh", "-c", script, "sh", program),
                                   stdout=out, stderr=out)
    try:
        wait_until(lambda: b"begun" in (path / "bpftrace").read_bytes() or
                   process.poll() is not None, faults.HANG_S, "bpftrace does not begin")
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.wait(faults.HANG_S)


def beside():
    """Two socktraces and bpftrace at the same tracepoints."""
    tries = Tries("others trace the same")
    for _ in range(3):
        with tries.one("two and bpftrace"), directory() as d, Nothing():
            for name in ("first", "second"):
                (d / name).mkdir()
            grid = Program(d, "grid", "-l", "-p", 4, "-t", 4, "-n", 200)
            with bpftrace(d, grid.pids):
                traces = [Trace(d / name, "attach", *grid.pids) for name in ("first", "second")]
                for trace in traces:
                    trace.wait_tracing()
                grid.go()
                truth = grid.end()
                for trace in traces:
                    trace.settle(trace.ends(), tries)
                    same_as_truth(trace.load(), truth)
            said = (d / "bpftrace").read_text()
            counts = dict(line[1:].split(": ") for line in said.splitlines() if line[:1] == "@")
            demand(int(counts.get("getppid", 0)) == truth_total(truth, "getppid"),
                   f"bpftrace counts otherwise: {said}")
    return tries.finish()


# --- limits of a process, and where output goes ------------------------------------------------


def settled(tries, trace, allowed=(COMPLETE, FAILED, UNTRUSTED)):
    """Ended as it may, and what it wrote is whole. Its words."""
    code = trace.ends(allowed)
    trace.settle(code, tries)
    left = temporary_files(trace.path)
    for path in left:
        os.unlink(path)
    demand(not left, "an unfinished file is left")
    return code, trace.text()


def limited(tries, service, limit, allowed):
    with tries.one(limit), directory() as d:
        trace = Trace(d, "attach", service.pid, options=("-d", "0.02"), prefix=("prlimit", limit))
        settled(tries, trace, allowed)


def files():
    """From no descriptor to enough."""
    tries = Tries("RLIMIT_NOFILE")
    with tries.around(), Service() as service, Nothing():
        # The first few are not enough for the program's own libraries.
        in_parallel((limited, tries, service, f"--nofile={nr}",
                     {COMPLETE, FAILED, UNTRUSTED, 127}) for nr in range(4, 132, 8))
    return tries.finish()


def files_reason():
    """What is missing then are descriptors, and not a feature of the kernel."""
    tries = Tries("RLIMIT_NOFILE: the reason")
    with tries.around(), Service() as service:
        for nr in (10, 40, 55, 65):
            with tries.one(f"{nr} descriptors"), directory() as d:
                trace = Trace(d, "attach", service.pid, options=("-d", "0.02"),
                              prefix=("prlimit", f"--nofile={nr}"))
                code, text = settled(tries, trace)
                demand(code == COMPLETE or "Too many open files" in text, f"says: {text}")
    return tries.finish()


def limits():
    """Other limits of a process."""
    tries = Tries("other limits")
    with tries.around(), Service() as service, Nothing():
        in_parallel((limited, tries, service, limit, {COMPLETE, FAILED, UNTRUSTED, 127})
                    for limit in ("--memlock=0", "--nproc=1", "--stack=65536", "--as=60000000",
                                  "--as=200000000", "--sigpending=0"))
    return tries.finish()


def no_heap():
    """Memory that malloc(3) does not get: an error like others."""
    tries = Tries("out of memory")
    with tries.around(), Service() as service, Nothing():
        for limit in ("--data=1000000", "--as=20000000"):
            limited(tries, service, limit, {FAILED})
    return tries.finish()


def file_size():
    """A report that is longer than a file may be."""
    tries = Tries("RLIMIT_FSIZE")
    with tries.around(), Service() as service, Nothing():
        for size in (0, 1, 4096):
            with tries.one(f"{size} bytes"), directory() as d:
                report = d / "report.json"
                report.write_text("earlier")
                # What it says goes to a pipe, which the limit does not concern.
                done = subprocess.run(
                    (*faults.PLAIN, "prlimit", f"--fsize={size}", "--core=0", faults.SOCKTRACE,
                     "attach", "-d", "0.02", "-F", "json", "-o", report, str(service.pid)),
                    check=False, capture_output=True, timeout=faults.HANG_S)
                demand(report.read_text() == "earlier", "the earlier file is gone")
                demand(done.returncode == FAILED and b"File too large" in done.stderr,
                       f"ended with {done.returncode}: {done.stderr}")
                demand(not temporary_files(d), "an unfinished file is left")
    return tries.finish()


def without(tries, service, way, has_file):
    with tries.one(f"{way}, -o: {has_file}"), directory() as d:
        trace = Trace(d, "attach", service.pid, options=("-d", "0.05", "-v"), output=has_file,
                      prefix=("sh", "-c", f'exec "$@"{way}', "-"))
        code = trace.wait()
        demand(code == (COMPLETE if has_file else FAILED), f"ended with {code}: {trace.text()}")
        demand(has_file or not trace.stdout.read_bytes(), "wrote where it was not told to")
        trace.settle(code, tries)


def closed():
    """Standard descriptors that are closed: nothing else is taken for them."""
    tries = Tries("standard descriptors closed")
    ways = ["".join(f" {fd}>&-" for fd in range(3) if n >> fd & 1) for n in range(1, 8)]
    with tries.around(), Service() as service, Nothing():
        in_parallel((without, tries, service, way, has_file) for way in ways
                    for has_file in (True, False) if has_file or "1>" in way)
    return tries.finish()


def large(d, target, **more):
    """A report of more than a pipe holds."""
    return Trace(d, "attach", target.process.pid, output=False, **more)


def output():
    """Places that take no report."""
    tries = Tries("output that fails")
    with tries.around(), directory() as at, Nothing():
        target = Program(at, "grid", "-p", 1, "-t", 1)
        crowd = Program(at, "crowd", "-t", 300)
        with tries.one("directory removed"), directory() as d:
            (d / "sub").mkdir()
            trace = Trace(d / "sub", "attach", target.process.pid)
            trace.wait_tracing()
            shutil.rmtree(d / "sub")
            trace.signal(signal.SIGINT)
            demand(trace.wait() == FAILED, "did not fail")
        with tries.one("directory renamed"), directory() as d:
            (d / "sub").mkdir()
            trace = Trace(d / "sub", "attach", target.process.pid)
            trace.wait_tracing()
            (d / "sub").rename(d / "other")
            trace.signal(signal.SIGINT)
            trace.wait()
            demand((d / "other" / "report.json").exists(), "not where the directory is now")
        with tries.one("/dev/full"), directory() as d, open("/dev/full", "wb") as full:
            trace = large(d, crowd, stdout=full)
            trace.end({FAILED})
            demand("No space left" in trace.text(), f"says {trace.text()}")
        with tries.one("no space left"), directory() as d:
            done = subprocess.run(
                ("unshare", "--mount", "sh", "-c", 'mount -t tmpfs -o size=4k none "$1" && '
                 '"$2" attach -d 0.05 -F json -o "$1/r.json" "$3"; echo $?; ls -A "$1"', "-", d,
                 faults.SOCKTRACE, str(crowd.process.pid)), check=False, capture_output=True,
                timeout=faults.HANG_S, text=True)
            demand(done.stdout == "1\n" and "No space left" in done.stderr, f"{done}")
        for read in (0, 100):
            with tries.one(f"pipe closed after {read} bytes"), directory() as d:
                reader, writer = os.pipe()
                trace = large(d, crowd, stdout=writer)
                os.close(writer)
                trace.wait_tracing()
                trace.signal(signal.SIGINT)
                if read:
                    os.read(reader, read)  # it is now in the midst of the report
                    time.sleep(0.1)
                    demand(not trace.ended(), "the report was too small to fill the pipe")
                os.close(reader)
                trace.ends({FAILED, -signal.SIGPIPE})
        for program in (target, crowd):
            program.go()
            program.end()
    return tries.finish()


# --- /proc and /sys that are not as usual ------------------------------------------------------

MOUNTS = {
    "hidepid=2": ("mount -t proc -o hidepid=2 none /proc", {COMPLETE}, ""),
    "subset=pid": ("mount -t proc -o subset=pid none /proc", {COMPLETE, FAILED, UNTRUSTED}, ""),
    "no /proc": ("mount -t tmpfs none /proc", {FAILED, UNTRUSTED}, ""),
    "no BTF": ("mount --bind /dev/null /sys/kernel/btf/vmlinux", {UNTRUSTED}, "BTF"),
    "no /sys": ("mount -t tmpfs none /sys", {UNTRUSTED}, "BTF"),
    "no tracefs": ("umount /sys/kernel/tracing; mount -t tmpfs none /sys/kernel/tracing",
                   {COMPLETE}, ""),
    "no kallsyms": ("mount --bind /dev/null /proc/kallsyms", {COMPLETE, UNTRUSTED}, ""),
    "no /etc": ("mount -t tmpfs none /etc", {COMPLETE}, ""),
    "/ read-only": ("mount -o remount,bind,ro /", {COMPLETE, FAILED}, ""),
}


def mounts():
    tries = Tries("/proc and /sys amiss")
    with tries.around(), Service() as service, Nothing():
        for name, (command, allowed, word) in MOUNTS.items():
            with tries.one(name), directory() as d:
                trace = Trace(d, "attach", service.pid, options=("-d", "0.05"), prefix=(
                    "unshare", "--mount", "sh", "-c", f'{command}; exec "$@"', "-"))
                code, text = settled(tries, trace, allowed)
                demand(word in text, f"says {text}")
                demand(code != COMPLETE or trace.load()["processes"][0]["pid"] == service.pid,
                       "another process")
        with tries.one("hidepid=2 to an ordinary user"), directory(None) as d:
            os.chmod(d, 0o777)
            public = shutil.copy(faults.SOCKTRACE, d / "socktrace")
            done = subprocess.run(
                ("unshare", "--mount", "sh", "-c", 'mount -t proc -o hidepid=2 none /proc; '
                 'exec "$@"', "-", "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
                 "--inh-caps=-all,+bpf,+perfmon", "--ambient-caps=+bpf,+perfmon", public, "attach",
                 "-d", "0.05", "-F", "json", "-o", d / "r.json", str(service.pid)), check=False,
                capture_output=True, timeout=faults.HANG_S, text=True)
            demand(done.returncode in (COMPLETE, UNTRUSTED) and
                   (done.returncode == COMPLETE) == (d / "r.json").exists(), f"{done}")
    return tries.finish()


ALL = (memory, maps, beside, files, files_reason, limits, no_heap, file_size, closed, output,
       mounts)

if __name__ == "__main__":  # a target of its own
    distinct_calls(int(sys.argv[1]))
