#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""Holds the totals of a socktrace report against those of strace -c.

Compares calls and errors of every name but those that a regular expression matches.
"""

import argparse
import collections
import json
import re
import sys

ROW = re.compile(r"^ *[\d.]+ +[\d.]+ +\d+ +(\d+) +(?:(\d+) +)?(\w+)$")


def strace_totals(path):
    totals = {}
    with open(path, encoding="utf-8") as f:
        for line in f:
            row = ROW.match(line)
            if row and row[3] != "total":
                totals[row[3]] = (int(row[1]), int(row[2] or 0))
    return totals


def report_totals(path):
    totals = collections.defaultdict(lambda: [0, 0])
    with open(path, encoding="utf-8") as f:
        for process in json.load(f)["processes"]:
            for call in process["syscalls"]:
                totals[call["name"]][0] += call["calls"]
                # strace counts a restart as an error.
                totals[call["name"]][1] += call["errors"] + call["restarts"]
    return {name: tuple(t) for name, t in totals.items() if t[0]}


def close(a, b, percent):
    return all(abs(x - y) * 100 <= percent * max(x, y) for x, y in zip(a, b))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--within", type=float, default=0, metavar="PERCENT")
    parser.add_argument("strace")
    parser.add_argument("report")
    parser.add_argument("differ", help="names that are not compared")
    options = parser.parse_args()
    strace, report = strace_totals(options.strace), report_totals(options.report)
    differ = re.compile(options.differ)
    compared = [n for n in sorted(set(strace) | set(report)) if not differ.fullmatch(n)]
    if options.within:  # a difference of one in few is none in a ratio
        compared = [n for n in compared if strace.get(n, (0, 0))[0] >= 1000]
    wrong = [n for n in compared
             if not close(strace.get(n, (0, 0)), report.get(n, (0, 0)), options.within)]
    for name in wrong:
        print(f"{name}: strace {strace.get(name)}, socktrace {report.get(name)} (calls, errors)",
              file=sys.stderr)
    if len(compared) < 2:
        print(f"only {len(compared)} names to compare", file=sys.stderr)
    return 1 if wrong or len(compared) < 2 else 0


if __name__ == "__main__":
    sys.exit(main())
