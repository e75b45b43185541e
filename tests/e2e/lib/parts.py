#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""The processes of a workload that run-workload has under way.

parts.py under_way PID          waits until the load of the run-workload with this PID is under
                                way, and prints of each of its descendants: role, PID, start time,
                                network namespace
parts.py gone FILE SECONDS      with that output in FILE: within so many seconds (0: now) none of
                                the processes is there any more, nor their namespaces, nor any
                                other process of the program $SOCKTRACE
"""

import os
import re
import struct
import subprocess
import sys
import time

LIMIT_S = 20
# So many calls nobody needs to prepare: the load has been let go.
CALLS = 50
ROOT = os.path.join(os.path.dirname(__file__), "../../..")
with open(f"{ROOT}/user/workload/calls.def", encoding="utf-8") as f:
    NR_CALLS = len(re.findall(r"^COUNTED_CALL", f.read(), re.MULTILINE))


def stat(pid):
    """State, parent and start time; None if the process is not there."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as f:
            fields = f.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return fields[0], int(fields[1]), fields[19]


def pids():
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]


def descendants(of):
    parents = {pid: s[1] for pid in pids() if (s := stat(pid))}
    found = [of]
    for pid in found:
        found += sorted(child for child, parent in parents.items() if parent == pid)
    return found[1:]


def read(pid, what):
    try:
        with open(f"/proc/{pid}/{what}", "rb") as f:
            return f.read()
    except OSError:
        return b""


def role(pid):
    """Of a part, also if it has become iperf3; "helper" of another process, "" of no more one."""
    words = read(pid, "cmdline").decode(errors="replace").split("\0")
    if read(pid, "comm").startswith(b"iperf3 watcher"):
        return "helper"
    if words[0] == "iperf3":
        return "client" if "--client" in words else "server"
    if "workload" in words and any(w.startswith("--started-with=") for w in words):
        return words[3]
    return "helper" if words[0] else ""


def calls(pid):
    """What the load has tallied so far: at the start of the memory that it shares (part.h)."""
    shared = re.search(rb"--started-with=\d+,\d+,(\d+)", read(pid, "cmdline"))
    if not shared:
        return 0
    size = 3 * 8 * NR_CALLS
    tally = read(pid, f"fd/{int(shared[1])}")[:size]
    return sum(struct.unpack(f"{3 * NR_CALLS}Q", tally)[::3]) if len(tally) == size else 0


def is_under_way(all_of):
    loads = [pid for pid in all_of if role(pid) in ("client", "publisher")]
    return any(calls(pid) > CALLS or read(pid, "comm") == b"iperf3\n" for pid in loads)


def under_way(parent):
    limit = time.monotonic() + LIMIT_S
    while not is_under_way(found := descendants(parent)):
        if time.monotonic() > limit or stat(parent) is None:
            sys.exit("the workload does not get under way")
        time.sleep(0.002)
    for pid in found:
        print(role(pid), pid, stat(pid)[2], os.stat(f"/proc/{pid}/ns/net").st_ino)


def is_there(pid, started):
    """One that has ended, and only waits for somebody to take its status, is gone."""
    s = stat(int(pid))
    return s is not None and s[2] == started and s[0] not in "ZX"


def of_program(program):
    for pid in pids():
        try:
            if os.path.samefile(f"/proc/{pid}/exe", program):
                yield str(pid)
        except OSError:
            continue


def left(rows):
    text = [f"process {r[1]} ({r[0]})" for r in rows if is_there(r[1], r[2])]
    text += [f"process {pid}" for pid in of_program(os.environ["SOCKTRACE"])]
    own = str(os.stat("/proc/self/ns/net").st_ino)
    lsns = ["lsns", "--type", "net", "--noheadings", "--output", "NS"]
    there = subprocess.run(lsns, check=True, capture_output=True, text=True).stdout.split()
    text += [f"namespace {n}" for n in {r[3] for r in rows} - {own} if n in there]
    return text


def gone(path, seconds):
    with open(path, encoding="utf-8") as f:
        rows = [line.split() for line in f]
    if not rows:
        sys.exit(f"{path} is empty")
    limit = time.monotonic() + seconds
    while (there := left(rows)) and time.monotonic() < limit:
        time.sleep(0.002)
    if there:
        sys.exit("left behind: " + ", ".join(there))


if sys.argv[1] == "under_way":
    under_way(int(sys.argv[2]))
else:
    gone(sys.argv[2], float(sys.argv[3]))
