#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""Holds what a test program knows about itself against what a tracer says of it.

compare.py report TRUTH REPORT   a socktrace report
compare.py strace TRUTH LOG      the log of strace -f -o LOG
compare.py sound REPORT          no truth: only that the report agrees with itself

Prints every difference and exits 1 if there is one. See programs/truth.h for what a truth holds.
"""

import argparse
import collections
import json
import os
import re
import sys

RESTART_CODES = ("ERESTARTSYS", "ERESTARTNOINTR", "ERESTARTNOHAND", "ERESTART_RESTARTBLOCK")
COUNTS = ("calls", "errors", "restarts", "denied", "no_return", "in_flight_start", "in_flight")
TIMES = ("total_ns", "on_cpu_ns", "runnable_ns", "blocked_ns")
QUANTILES = ("min_ns", "p50_ns", "p90_ns", "p99_ns", "p999_ns", "max_ns")
AUDITS_PER_PROCESS = ("context_switches", "syscall_balance", "cpu_time")
# What -1 means in a register that a call only hands back is not an error of the call.
NEVER_FAILS = ("rt_sigreturn", "sigreturn")


class Problems:
    def __init__(self):
        self.count = 0

    def add(self, where, text):
        self.count += 1
        if self.count <= 40:
            print(f"{where}: {text}", file=sys.stderr)

    def equal(self, where, what, expected, observed):
        if expected != observed:
            self.add(where, f"{what}: expected {expected}, observed {observed}")


def load_report(path):
    """The report in a file, or the last one of several lines."""
    with open(path, encoding="utf-8") as f:
        text = f.read()
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return json.loads(text.rstrip("\n").rsplit("\n", 1)[-1])


def load_truth(path):
    with open(path, encoding="utf-8") as f:
        return json.load(f)


# --- a report by itself ------------------------------------------------------------------------


def check_call(problems, where, call, detail):
    where = f"{where} {call['abi']} {call['name']}"
    problems.equal(where, "sum of errnos", call["errors"], sum(call["errnos"].values()))
    if call["errors"] + call["restarts"] > call["calls"]:
        problems.add(where, "more errors and restarts than calls")
    if call["name"] in NEVER_FAILS:
        problems.equal(where, "errors", 0, call["errors"])
    if detail == "full":
        problems.equal(where, "histogram", call["calls"], sum(n for _, n in call["histogram"]))
        problems.equal(where, "on CPU + runnable + blocked", call["total_ns"],
                       sum(call[t] for t in TIMES[1:]))
        quantiles = [call[q] for q in QUANTILES if call[q] is not None]
        if call["calls"] and len(quantiles) != len(QUANTILES):
            problems.add(where, "calls, but no percentiles")
        if quantiles != sorted(quantiles):
            problems.add(where, f"percentiles out of order: {quantiles}")
        if call["calls"] and call["max_ns"] > call["total_ns"]:
            problems.add(where, "longest call longer than all calls")


def by_name(calls):
    return {(c["abi"], c["name"]): c for c in calls}


def total(threads, key, field):
    values = [by_name(t["syscalls"]).get(key, {}).get(field) for t in threads]
    values = [v for v in values if v is not None]
    return sum(values) if values else None


def check_process(problems, process, detail):
    where = f"process {process['pid']}"
    threads = process["threads"]
    # A number may come again once its thread has ended or another has taken it over by execve.
    tids = [t["tid"] for t in threads if not t["ended"]]
    if len(tids) != len(set(tids)):
        problems.add(where, f"a thread twice: {tids}")
    for call in process["syscalls"]:
        check_call(problems, where, call, detail)
        for field in COUNTS + TIMES:
            problems.equal(f"{where} {call['name']}", f"sum of threads' {field}", call[field],
                           total(threads, (call["abi"], call["name"]), field))
    for thread in threads:
        for call in thread["syscalls"]:
            check_call(problems, f"{where} thread {thread['tid']}", call, detail)
            if (call["abi"], call["name"]) not in by_name(process["syscalls"]):
                problems.add(where, f"{call['name']} of thread {thread['tid']} is missing")
    for group in ("cpu", "switches", "faults"):
        for field, value in process[group].items():
            parts = [t[group][field] for t in threads if t[group][field] is not None]
            problems.equal(where, f"sum of threads' {field}", value, sum(parts) if parts else None)


def check_audits(problems, report, nulls):
    seen = collections.Counter()
    for audit in report["audits"]:
        where = f"audit {audit['name']} of {audit['subject']}"
        seen[audit["name"]] += 1
        if audit["ok"] is None and audit["name"] in nulls and audit["reason"]:
            continue
        if audit["ok"] is not True:
            problems.add(where, f"ok is {audit['ok']}: expected {audit['expected']}, observed "
                         f"{audit['observed']}, {audit.get('reason')}")
        elif abs(audit["expected"] - audit["observed"]) > audit["tolerance"]:
            problems.add(where, "ok, but beyond its own tolerance")
    for name in AUDITS_PER_PROCESS:
        problems.equal("audits", f"number of {name}", len(report["processes"]), seen[name])
    problems.equal("audits", "number of lost", 1, seen["lost"])


def check_sound(problems, report, nulls):
    detail = report["capture"]["detail"]
    problems.equal("report", "schema", "socktrace/1", report["schema"])
    if detail == "count":  # entries are not seen
        nulls = nulls + ["syscall_balance"]
    problems.equal("report", "complete", True, report["capture"]["complete"])
    for reason, count in report["capture"]["lost"].items():
        problems.equal("lost", reason, 0, count)
    check_audits(problems, report, nulls)
    keys = [(p["pid"], p["started_ns"]) for p in report["processes"]]
    if len(keys) != len(set(keys)):
        problems.add("report", f"a process twice: {keys}")
    for process in report["processes"]:
        check_process(problems, process, detail)


# --- a report against a truth ------------------------------------------------------------------


def zero_call():
    return dict({field: 0 for field in COUNTS}, errnos={}, bytes=None)


def expected_calls(threads, thread_only):
    """{(abi, name): counts} over @threads, with or without the calls that only threads compare."""
    sums = {}
    for thread in threads:
        for call in thread["calls"]:
            if call["thread_only"] and not thread_only:
                continue
            s = sums.setdefault((call["abi"], call["name"]), zero_call())
            for field in COUNTS:
                s[field] += call.get(field, 0)
            for name, count in call["errnos"].items():
                s["errnos"][name] = s["errnos"].get(name, 0) + count
                s["errors"] += count
            if call.get("bytes") is not None:
                s["bytes"] = (s["bytes"] or 0) + call["bytes"]
    return sums


def as_counted(sums):
    """
    What --detail count can see: returns only. A denied call and one that began before the trace
    are calls to it, and execve into a program of another ABI returns under that ABI's number.
    """
    seen = {}
    for (abi, name), call in sums.items():
        into = seen.setdefault(("any", name) if name == "execve" else (abi, name), zero_call())
        into["calls"] += call["calls"] + call["denied"] + call["in_flight_start"]
        into["restarts"] += call["restarts"]
        into["errors"] = None if call["denied"] else into["errors"] + call["errors"]
        into["errnos"].update(call["errnos"])
        into["bytes"] = None if call["in_flight_start"] else call["bytes"]
    return seen


def find_call(calls, abi, name):
    if abi == "any":
        same = [c for c in calls if c["name"] == name]
        return dict(zero_call(), calls=sum(c["calls"] for c in same),
                    errors=sum(c["errors"] for c in same),
                    restarts=sum(c["restarts"] for c in same),
                    errnos=dict(sum((collections.Counter(c["errnos"]) for c in same),
                                    collections.Counter())))
    for call in calls:
        if call["abi"] == abi and call["name"] == name:
            return call
        if name.startswith("#") and call["abi"] == abi and call["nr"] == int(name[1:]):
            return call
    return None


def compare_calls(problems, where, expected, calls, detail):
    if detail == "count":
        expected = as_counted(expected)
    for (abi, name), want in expected.items():
        have = find_call(calls, abi, name) or zero_call()
        at = f"{where} {abi} {name}"
        for field in COUNTS if detail == "full" else ("calls", "restarts"):
            problems.equal(at, field, want[field], have[field])
        if want["errors"] is not None:
            problems.equal(at, "errors", want["errors"], have["errors"])
            problems.equal(at, "errnos", want["errnos"], have["errnos"])
        if want["bytes"] is not None and want["calls"]:
            problems.equal(at, "bytes", want["bytes"], have["bytes"])


def figure(thread, path):
    if path == "cpu.exec_ns":  # what the scheduler charges
        return thread["cpu"]["on_cpu_ns"] - (thread["cpu"].get("stolen_ns") or 0)
    parts = path.split(".")
    if parts[0] == "syscalls":
        calls = [c for c in thread["syscalls"] if c["name"] == parts[1]]
        return calls[0][parts[2]] if calls else None
    return thread[parts[0]][parts[1]]


def compare_bounds(problems, where, bounds, thread, detail):
    for bound in bounds:
        if detail == "count" and (bound["field"] == "cpu.user_ns" or "syscalls" in bound["field"]):
            continue  # needs entries
        value = figure(thread, bound["field"])
        if value is None or not bound["min"] <= value <= bound["max"]:
            problems.add(where, f"{bound['field']}: expected {bound['min']} to {bound['max']}, "
                         f"observed {value}")


def compare_threads(problems, where, truth, process, detail):
    known = {t["tid"]: t for t in truth["threads"]}
    if 0 in known:  # numbers that change or come twice
        return
    reported = {t["tid"]: t for t in process["threads"]}
    folded = reported.pop(0, None)
    missing = [t for tid, t in known.items() if tid not in reported]
    for tid, thread in reported.items():
        at = f"{where} thread {tid}"
        if tid in known:
            compare_calls(problems, at, expected_calls([known[tid]], True), thread["syscalls"],
                          detail)
            compare_bounds(problems, at, known[tid]["bounds"], thread, detail)
            problems.equal(at, "ended", not known[tid]["alive"], thread["ended"])
        elif not truth["early"]:
            problems.add(at, "no such thread in the program")
    if folded and not truth["early"]:
        compare_calls(problems, f"{where} folded threads", expected_calls(missing, False),
                      folded["syscalls"], detail)
        problems.equal(where, "folded threads", len(missing), folded["folded"])
    elif missing and not folded:
        problems.add(where, f"threads not in the report: {[t['tid'] for t in missing]}")


def expect_execve(thread, abi):
    """The call by which the program itself was started, in its first thread."""
    for call in thread["calls"]:
        if (call["abi"], call["name"]) == (abi, "execve"):
            call["calls"] += 1
            return
    thread["calls"].append(
        dict(zero_call(), abi=abi, name="execve", calls=1, thread_only=False))


def compare_process(problems, truth, process, options, is_root, detail):
    where = f"process {truth['pid']}"
    if is_root and options.run:
        expect_execve(truth["threads"][0], options.abi)
    expected = expected_calls(truth["threads"], False)
    compare_calls(problems, where, expected, process["syscalls"], detail)
    problems.equal(where, "ended", not truth["alive"], process["ended"])
    if "exit_status" in truth:
        problems.equal(where, "exit_status", truth["exit_status"], process["exit_status"])
        problems.equal(where, "term_signal", truth.get("term_signal"),
                       process.get("term_signal"))
    compare_threads(problems, where, truth, process, detail)


def group_by_pid(processes, key=None):
    groups = collections.OrderedDict()
    for p in sorted(processes, key=key) if key else processes:
        groups.setdefault(p["pid"], []).append(p)
    return groups


def compare_extra(problems, truth, process):
    """A process that the program has no account of must not make any call that is accounted."""
    names = {c["name"] for p in truth["processes"] for t in p["threads"] for c in t["calls"]
             if c["calls"]}
    for call in process["syscalls"]:
        if call["name"] in names and call["calls"]:
            problems.add(f"process {process['pid']}", f"unknown, but with calls of {call['name']}")


def compare_report(problems, truth, report, options):
    detail = report["capture"]["detail"]
    wanted = truth["processes"][:1] if options.root_only else truth["processes"]
    if options.only:
        wanted = [p for p in wanted if p["pid"] in options.only]
    expected = group_by_pid(wanted)
    reported = group_by_pid(report["processes"], key=lambda p: p["started_ns"])
    for pid, processes in expected.items():
        have = reported.pop(pid, [])
        problems.equal(f"process {pid}", "entries in the report", len(processes), len(have))
        for want, got in zip(processes, have):
            compare_process(problems, want, got, options, want is truth["processes"][0], detail)
    for pid, processes in reported.items():
        if not truth["processes"][0]["early"]:
            problems.add(f"process {pid}", "not in the program")
        for process in processes:
            compare_extra(problems, truth, process)


# --- strace against a truth --------------------------------------------------------------------

LINE = re.compile(r"^(\d+) +(?:<\.\.\. (\w+) resumed>|(\w+)\().*?(?:= (\?|-?\w+)(?: (E\w+))?.*|"
                  r"<unfinished \.\.\.>)$")


END = re.compile(r"^(\d+) +\+\+\+ (?:killed|exited|superseded)")
ENDS = ("exit", "exit_group")


def strace_name(name):
    if not name.startswith("syscall_0x"):
        return name
    nr = int(name[8:], 16) & 0xffffffff
    return f"#{min(nr & ~0x40000000 if nr >> 30 == 1 else nr, 1023)}"


def parse_strace(lines):
    """{tid: {("", name): counts}} of the calls that ended."""
    tids = collections.defaultdict(lambda: collections.defaultdict(zero_call))
    last = {}
    for line in lines:
        end = END.match(line)
        if end and int(end[1]) in last:
            # What strace reads from a thread that is being killed is not what the call returned.
            last[int(end[1])]["no_return"] += 1
        match = LINE.match(line.rstrip("\n"))
        if not match or line.rstrip("\n").endswith("<unfinished ...>"):
            continue
        tid, name, ret, error = int(match[1]), match[2] or match[3], match[4], match[5]
        call = last[tid] = tids[tid][("", strace_name(name))]
        if ret == "?" and error is None:
            call["no_return"] += 1
            if name in ENDS:
                del last[tid]
            continue
        call["calls"] += 1
        if error in RESTART_CODES:
            call["restarts"] += 1
        elif error and name not in NEVER_FAILS:
            call["errors"] += 1
            call["errnos"][error] = call["errnos"].get(error, 0) + 1
    return tids


def visible(want, have, name):
    """Whether strace can see what happened to a call."""
    if want["denied"]:  # strace sees a call before seccomp does
        return False
    # It does not see how a call ends in which its thread is killed.
    return name in ENDS or not have["no_return"]


def counts(call):
    return {field: call[field] for field in COUNTS + ("errnos",)}


def without_abi(calls):
    """strace says on standard error, not in its log, when a thread makes calls of another ABI."""
    merged = collections.defaultdict(zero_call)
    for (_, name), call in calls.items():
        into = merged[("", name)]
        for field in COUNTS:
            into[field] += call[field]
        for error, count in call["errnos"].items():
            into["errnos"][error] = into["errnos"].get(error, 0) + count
    return merged


def compare_strace(problems, truth, lines, options):
    seen = parse_strace(lines)
    threads = [t for p in truth["processes"] for t in p["threads"]]
    expect_execve(threads[0], options.abi)
    by_tid = collections.defaultdict(list)
    for thread in threads:
        by_tid[thread["tid"]].append(thread)
    for tid, same in by_tid.items():
        for key, want in without_abi(expected_calls(same, True)).items():
            have = seen[tid].get(key, zero_call())
            if tid and visible(want, have, key[1]):
                problems.equal(f"strace: thread {tid} {key[1]}", "counts", counts(want),
                               counts(have))
    if 0 not in by_tid:
        return
    for key, want in without_abi(expected_calls(threads, False)).items():
        calls = [s.get(key, zero_call()) for s in seen.values()]
        have = {field: sum(c[field] for c in calls) for field in COUNTS}
        if visible(want, have, key[1]):
            problems.equal(f"strace: all threads {key[1]}", "counts",
                           {field: want[field] for field in COUNTS}, have)


def parse_arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("report", "strace", "sound"))
    parser.add_argument("files", nargs="+")
    parser.add_argument("--root-only", action="store_true", help="children are not followed")
    parser.add_argument("--only", type=int, action="append", help="PID that alone is traced")
    parser.add_argument("--run", action="store_true", help="the trace begins with execve")
    parser.add_argument("--abi", default=os.uname().machine, help="native one")
    parser.add_argument("--null", action="append", default=[], help="audit that may be null")
    return parser.parse_args()


def main():
    options = parse_arguments()
    problems = Problems()
    if options.what == "strace":
        with open(options.files[1], encoding="utf-8", errors="replace") as f:
            compare_strace(problems, load_truth(options.files[0]), f, options)
    else:
        report = load_report(options.files[-1])
        check_sound(problems, report, options.null)
        if options.what == "report":
            compare_report(problems, load_truth(options.files[0]), report, options)
    if problems.count:
        print(f"{problems.count} differences", file=sys.stderr)
    return 1 if problems.count else 0


if __name__ == "__main__":
    sys.exit(main())
