#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""Holds a report of programs/exact.c against what that program knows, cell by cell.

exact.py report TRUTH REPORT   a socktrace report: names the cells that are wrong, and the report's
                               own audits
exact.py unseen TRUTH REPORT   a report by a hook that cannot see these cells, which the program has
                               left out of its account (-u): they are absent, and no audit of TCP
                               bytes holds where some were moved
exact.py strace TRUTH LOG      the log of strace -f -y -o LOG
exact.py table TRUTH LIST      what became of each cell of the table (exact -l), none left out

Exits 1 if something is wrong.
"""

import argparse
import collections
import re
import sys

import compare
import sockets


MOST = 20  # cells that are named for one thing that is wrong
NUMBER = re.compile(r"^process \d+ ?")
ADDRESS = re.compile(r"'[^']*'( - )?")


class CellProblems(compare.Problems):
    """Differences, by cell."""

    def __init__(self):
        super().__init__()
        self.cells = collections.defaultdict(list)
        self.cell = None

    def add(self, where, text):
        self.count += 1
        self.cells[self.cell].append(f"{NUMBER.sub('', where)}: {text}")


def drops_of(row):
    return {reason: {f: d[f] for f in ("packets", "bytes")} for reason, d in row["drops"].items()}


def compare_cell(problems, cell, sockets_of, process):
    """
    As sockets.compare_process(), but for drops: they are known of some ways only, and of streams
    the kernel makes good what it drops.
    """
    # Where two have the same name, the one that was used may choose its row first.
    truth = {"sockets": sorted(sockets_of, key=sockets.is_idle)}
    process = dict(process, sockets=[
        dict(row, drops={} if cell["drops"] is None or row["protocol"] == "mptcp" else row["drops"])
        for row in process["sockets"]])
    sockets.compare_process(problems, dict(truth, pid=cell["pid"]), process)


def compare_report(problems, truth, report):
    by_pid = collections.defaultdict(list)
    for socket in truth["sockets"]:
        by_pid[socket["pid"]].append(socket)
    processes = {}
    for process in report["processes"]:  # a number that came again belongs to one that did nothing
        if process["sockets"] or process["pid"] not in processes:
            processes[process["pid"]] = process
    for cell in truth["cells"]:
        problems.cell = cell["cell"]
        if cell["result"] != "ran":
            continue
        if cell["pid"] not in processes:
            problems.add("report", "no such process")
            continue
        compare_cell(problems, cell, by_pid[cell["pid"]], processes[cell["pid"]])


def print_problems(problems):
    """By what is wrong, as one thing is wrong with many cells."""
    if not problems.count:
        return
    cells_of = collections.defaultdict(dict)
    for cell, texts in problems.cells.items():
        for text in texts:
            cells_of[ADDRESS.sub("…", text)][cell] = True
    for text, cells in sorted(cells_of.items(), key=lambda item: -len(item[1])):
        more = f", and {len(cells) - MOST} more" if len(cells) > MOST else ""
        print(f"{text}: {', '.join(list(cells)[:MOST])}{more}", file=sys.stderr)
    print(f"{len(problems.cells)} cells are wrong", file=sys.stderr)


def without_late_ends(truth, report):
    """
    io_uring may hold a socket a moment longer than the program, of which then nobody reads the
    last count of drops: of these cells that audit may be null.
    """
    rings = {f"pid {c['pid']}" for c in truth["cells"] if "/ring-" in c["cell"]}
    return dict(report, audits=[
        a for a in report["audits"]
        if (a["name"], a["ok"]) != ("udp_drops", None) or a["subject"] not in rings])


def check_report(options):
    truth, report = compare.load_truth(options.files[0]), compare.load_report(options.files[1])
    problems, own = CellProblems(), compare.Problems()
    compare_report(problems, truth, report)
    sockets.check_sockets(own, without_late_ends(truth, report), options.null)
    sockets.audited(own, report, "tcp_bytes", "tcp")
    print_problems(problems)
    return problems.count + own.count


def check_unseen(options):
    truth, report = compare.load_truth(options.files[0]), compare.load_report(options.files[1])
    problems = CellProblems()
    compare_report(problems, truth, report)
    audits = {a["subject"]: a["ok"] for a in report["audits"] if a["name"] == "tcp_bytes"}
    moved = [c for c in truth["cells"] if c["unseen_bytes"] and c["cell"].startswith("tcp")]
    for problems.cell, pid in ((c["cell"], c["pid"]) for c in moved):
        if audits.get(f"pid {pid}", True):
            problems.add("audit", "tcp_bytes holds, but does not know all bytes")
    if not moved:
        problems.add("report", "nothing to compare")
    print_problems(problems)
    return problems.count


THREAD = re.compile(r"^(\d+) +clone3?\(.*CLONE_THREAD.*\) += (\d+)$")


def check_strace(options):
    """The threads that help are of no account, but strace names them when they are made."""
    truth, problems = compare.load_truth(options.files[0]), compare.Problems()
    with open(options.files[1], encoding="utf-8", errors="replace") as f:
        lines = f.readlines()
    threads = {int(m[2]): int(m[1]) for m in map(THREAD.match, sockets.whole_lines(lines)) if m}
    ran = {c["pid"] for c in truth["cells"] if c["result"] == "ran"}
    truth["sockets"] = [s for s in truth["sockets"] if s["pid"] in ran]
    truth["processes"] = [{"pid": pid, "threads": [{"tid": tid}]} for tid, pid in threads.items()
                          if pid in ran]
    sockets.compare_strace(problems, truth, lines)
    return problems.count


def summary(cells):
    """How many have run; what was skipped, and why, by reason."""
    skipped = collections.defaultdict(list)
    for cell in cells:
        if cell["result"] == "skipped":
            skipped[cell["why"]].append(cell["cell"])
    text = f"{len(cells) - sum(map(len, skipped.values()))} cells ran"
    return "; ".join([text] + [f"skipped {len(some)} ({', '.join(some[:4])}"
                               f"{', …' * (len(some) > 4)}): {why}"
                               for why, some in skipped.items()])


def check_table(options):
    """Every cell of the table has run or was skipped, with a reason."""
    with open(options.files[1], encoding="utf-8") as f:
        table = f.read().split()
    cells = compare.load_truth(options.files[0])["cells"]
    for cell in cells:
        why = f" ({cell['why']})" if cell["why"] else ""
        print(f"{cell['result']}: {cell['cell']}{why}")
    sums = collections.Counter(c["result"] for c in cells)
    print(f"{len(table)} cells: {sums['ran']} ran, {sums['skipped']} skipped")
    if [c["cell"] for c in cells] != table or len(set(table)) != len(table):
        print("the cells are not those of the table", file=sys.stderr)
        return 1
    if sums["ran"] + sums["skipped"] != len(table):
        print(f"cells without a result: {sums}", file=sys.stderr)
        return 1
    if any(c["result"] == "skipped" and not c["why"] for c in cells):
        print("skipped without a reason", file=sys.stderr)
        return 1
    return 0


CHECKS = {"report": check_report, "unseen": check_unseen, "strace": check_strace,
          "table": check_table}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=CHECKS)
    parser.add_argument("files", nargs=2)
    parser.add_argument("--null", action="append", default=[], help="audit that may be null")
    options = parser.parse_args()
    return 1 if CHECKS[options.what](options) else 0


if __name__ == "__main__":
    sys.exit(main())
