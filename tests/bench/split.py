# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""Section "split": where the time of a call and of a switch goes.

The steps of ladder.bpf.c, each of which does one thing more, then what was not taken instead of
it, and the tracer itself; each in turn, in an order of its own in each round.
"""

import contextlib
import os
import subprocess

from growth import Looper, Tracing, attach, nobody

ROUNDS = 11
LOOP_MS = 70
QUICK_MS = 10
WARM_UP_MS = 10

# What looper is started with. A bystander loops while an idle process is traced. A turn is two
# switches of the traced process and, by either side, two calls.
LOADS = {"getppid": [], "bystander": [], "switch": ["--turns"]}


def ladder(context):
    return os.path.join(context.bench, "ladder")


def ladder_steps(context):
    """[(load, step)]"""
    listed = subprocess.run([ladder(context), "--list"], stdout=subprocess.PIPE, text=True,
                            check=True).stdout
    return [tuple(line.split("/", 1)) for line in listed.splitlines()]


def climb(context, load, step):
    """A function that traces a looper with that step."""
    return lambda looper: Tracing([ladder(context), f"{load}/{step}", looper.pid],
                                  "tracing with ")


def socktrace(context, detail):
    return lambda looper: attach(context, looper, detail, ("-F", "json"))


def subjects(context):
    """{(load, step): function that traces a looper}, in the order of the tables."""
    found = {}
    for load in LOADS:
        found[load, "untraced"] = nobody
        for of, step in ladder_steps(context):
            if of == load:
                found[load, step] = climb(context, load, step)
        for detail in ("count", "full"):
            found[load, f"socktrace {detail}"] = socktrace(context, detail)
    return found


def measure(context, trace, looper, target):
    """ns of a call, or why there is none: a kernel may lack what a step needs."""
    try:
        with trace(target):
            looper.run(WARM_UP_MS)
            run = looper.run(QUICK_MS if context.quick else LOOP_MS)
    except RuntimeError as why:
        return {"failed": str(why), "ns_per_call": None}
    return {"ns_per_call": run.ns / run.calls}


def order_of_steps(traces):
    """Of all loads; the tracer itself comes last."""
    steps = dict.fromkeys(step for _, step in traces)
    return sorted(steps, key=lambda step: step.startswith("socktrace"))


def run(context):
    rounds = 1 if context.quick else context.rounds or ROUNDS
    traces = subjects(context)
    samples = []
    with contextlib.ExitStack() as stack:
        loopers = {load: stack.enter_context(Looper(context, *options))
                   for load, options in LOADS.items()}
        targets = {**loopers, "bystander": stack.enter_context(Looper(context))}
        for number in range(1, rounds + 1):
            order = list(traces)
            context.random.shuffle(order)
            for load, step in order:
                samples.append({"round": number, "load": load, "step": step,
                                **measure(context, traces[load, step], loopers[load],
                                          targets[load])})
            context.say(f"split: round {number} of {rounds}")
    return {"rounds": rounds, "steps": order_of_steps(traces), "samples": samples}
