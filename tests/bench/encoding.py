# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""Section "encoding": what it takes to fold records into a report, to write it in each format and
to read it again.

The program encoding, as it is built for use ("plain") and, where it is there, with the compiler's
profile-guided and link-time optimisation ("pgo"): both in each round, in an order of its own.
"""

import pathlib
import subprocess

ROUNDS = 7
ROWS = 10_000
QUICK_ROWS = 2_500
LONGEST_S = 60  # a run, on a busy machine

PROGRAMS = {"plain": "encoding", "pgo": "encoding-pgo"}


def parse(text):
    """What the program prints: "STEP ROWS NS BYTES" for each step."""
    lines = [line.split(" ") for line in text.splitlines()]
    return [{"format": step, "rows": int(rows), "ns": int(ns), "bytes": int(size)}
            for step, rows, ns, size in lines]


def measure(program, rows):
    """The figures of one run of it; RuntimeError says why there are none."""
    try:
        done = subprocess.run([program, str(rows)], capture_output=True, text=True, check=False,
                              timeout=LONGEST_S)
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"{program} {rows} took more than {LONGEST_S} s") from None
    if done.returncode:
        raise RuntimeError(f"{program} {rows}: {done.stderr.strip() or done.returncode}")
    return parse(done.stdout)


def run(context):
    rounds = 1 if context.quick else context.rounds or ROUNDS
    programs = {build: pathlib.Path(context.bench, name) for build, name in PROGRAMS.items()}
    if not programs["pgo"].exists():
        context.say(f"encoding: {programs.pop('pgo')} is not there: plain alone")
    samples = []
    for number in range(1, rounds + 1):
        order = list(programs)
        context.random.shuffle(order)
        for build in order:
            figures = measure(programs[build], QUICK_ROWS if context.quick else ROWS)
            samples += [{"round": number, "build": build, **figure} for figure in figures]
        context.say(f"encoding: round {number} of {rounds}")
    return {"rounds": rounds, "samples": samples}
