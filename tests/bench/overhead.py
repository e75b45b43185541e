#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""What tracing costs: runs the sections, each in rounds whose order is shuffled from the seed, and
writes every sample to OUT_JSON, whole or not at all. overhead_report.py makes tables of it. Needs
root.

usage: overhead.py SOCKTRACE BENCH_BIN_DIR OUT_JSON [--rounds N] [--seed S] [--only SECTION...]
                   [--quick]
"""

import argparse
import datetime
import importlib
import json
import os
import pathlib
import random
import re
import signal
import subprocess
import sys
import tempfile
import time

import comparison
from tracers import Failed

ROOT = pathlib.Path(__file__).resolve().parents[2]
FORMAT, VERSION = "socktrace-overhead", 1
# What the figures depend on; results are written by the run itself.
SOURCES = ["Makefile", "bpf", "include", "tests/bench", "user", "vmlinux"]
BPF_STATS = "/proc/sys/kernel/bpf_stats_enabled"

# section: (module, function, programs of BENCH_BIN_DIR)
SECTIONS = {
    "comparison": ("comparison", "run", ["bench-floor", "looper"]),
    "growth": ("growth", "run", ["bench-floor", "looper"]),
    "snapshot": ("growth", "run_snapshot", ["looper"]),
    "split": ("split", "run", ["ladder", "looper"]),
    "encoding": ("encoding", "run", ["encoding"]),
}


class Context:
    """What a section gets."""

    def __init__(self, arguments):
        self.socktrace = os.path.abspath(arguments.socktrace)
        self.bench = os.path.abspath(arguments.bench)
        self.rounds = arguments.rounds  # None: as the section sees fit
        self.quick = arguments.quick
        self.random = None  # of each section its own, so that --only does not change the order

    def say(self, text):
        print(text, file=sys.stderr, flush=True)


# --- where and how ------------------------------------------------------------------------------

def trivial_report(socktrace):
    """Of a trace of true(1): it has what socktrace knows of itself and of the machine."""
    run = subprocess.run([socktrace, "run", "-q", "-F", "json", "--", "true"],
                         stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if run.returncode:
        raise Failed(f"{socktrace} cannot trace here: {run.stderr.strip()}")
    return json.loads(run.stdout)


def are_sources_clean():
    """None: there is no repository to ask."""
    run = subprocess.run(["git", "-C", str(ROOT), "status", "--porcelain", "--", *SOURCES],
                         stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    return None if run.returncode else not run.stdout


def made(report, started, seconds):
    tool = report["tool"]
    commit = re.sub(r"-dirty$", "", tool["commit"])
    is_clean = commit == tool["commit"] != "unknown" and are_sources_clean() is True
    return {"commit": commit, "is_clean": is_clean, "version": tool["version"],
            "compiler": tool["compiler"], "started": started, "seconds": seconds}


def machine(report, bpf_stats):
    host = report["host"]
    return {"cpu": host["cpu_model"], "cpus": host["cpus"], "kernel": host["kernel"],
            "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
            "virtualization": host["virtualization"], "bpf_stats_enabled": bpf_stats}


def bpf_stats_enabled():
    value = int(pathlib.Path(BPF_STATS).read_text(encoding="ascii"))
    if value:
        raise Failed("kernel.bpf_stats_enabled is 1: the kernel reads the clock twice in every BPF "
                     "program, which would be measured too; run "
                     "sysctl kernel.bpf_stats_enabled=0, then this again")
    return value


# --- running and writing ------------------------------------------------------------------------

def run_sections(context, names, seed):
    sections = {}
    for name in names:
        module, function, _ = SECTIONS[name]
        context.random = random.Random(f"{seed} {name}")
        sections[name] = getattr(importlib.import_module(module), function)(context)
    return sections


def write(path, report):
    """Whole or not at all."""
    folder = os.path.dirname(os.path.abspath(path))
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=folder, delete=False) as f:
        try:
            json.dump(report, f, indent=1, ensure_ascii=False)
            f.write("\n")
            f.flush()
            os.fchmod(f.fileno(), 0o644)
            os.fsync(f.fileno())
            os.replace(f.name, path)
        except BaseException:
            os.unlink(f.name)
            raise


def measure(arguments):
    context = Context(arguments)
    if os.geteuid():
        raise Failed("tracing needs root; run this with sudo")
    for path in [context.socktrace, *(f"{context.bench}/{program}" for name in arguments.only
                                      for program in SECTIONS[name][2])]:
        if not os.path.exists(path):
            raise Failed(f"{path} is missing; make builds it")
    stats = bpf_stats_enabled()
    trivial = trivial_report(context.socktrace)
    context.say(f"overhead: seed {arguments.seed}; repeat with --seed {arguments.seed}")
    started = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    began = time.monotonic()
    sections = run_sections(context, arguments.only, arguments.seed)
    write(arguments.out, {
        "format": FORMAT, "version": VERSION,
        "made": made(trivial, started, round(time.monotonic() - began, 1)),
        "machine": machine(trivial, stats), "seed": arguments.seed, "quick": arguments.quick,
        "tools": comparison.tools(), "sections": sections})


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("socktrace", metavar="SOCKTRACE")
    parser.add_argument("bench", metavar="BENCH_BIN_DIR")
    parser.add_argument("out", metavar="OUT_JSON")
    parser.add_argument("--rounds", type=int, metavar="N", help="of every section")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**31),
                        metavar="S", help="of the order; any, if not given")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS),
                        metavar="SECTION", help=", ".join(SECTIONS))
    parser.add_argument("--quick", action="store_true",
                        help="one short round: shows that all of it works, not what tracing costs")
    arguments = parser.parse_args()
    if arguments.rounds is not None and arguments.rounds < 1:
        parser.error("--rounds must be 1 or more")
    return arguments


def main():
    # Exceptions, so that everything that was started is ended. SIGINT is ignored in a shell's
    # background; tools would inherit that, and could not be ended by it.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        measure(parse_arguments())
    except (Failed, RuntimeError) as why:
        sys.exit(f"overhead: {why}")
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)


if __name__ == "__main__":
    main()
