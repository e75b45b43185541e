#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""tables.py DIR DOCUMENT KERNEL... [--update]: what suite.py said on all kernels, as tables.

DIR/KERNEL.results: of a kernel that ran; DIR/KERNEL.skipped: why it did not. With --update,
DOCUMENT gets the table of hooks. Exits 1 if a test has failed, a kernel did not run to its end,
fewer than two kernels were emulated, or a hook was exact on none of them.
"""

import json
import os
import re
import sys

NEEDED = 2  # emulated kernels
STATES = {"default": "taken", "works": "works", "untried": "FAIL", "lacking": "—"}
BEGIN, END = "<!-- begin hooks, made by tests/vm/check.sh --update -->", "<!-- end hooks -->"


class Kernel:
    def __init__(self, directory, name):
        self.name = name
        self.release = self.version = self.machine = None
        self.tests = {}
        self.hooks = {}
        self.skipped = None
        self.is_complete = False
        if os.path.exists(f"{directory}/{name}.skipped"):
            with open(f"{directory}/{name}.skipped", encoding="utf-8") as f:
                self.skipped = f.read().strip() or "no reason given"
        elif os.path.exists(f"{directory}/{name}.results"):
            with open(f"{directory}/{name}.results", encoding="utf-8", errors="replace") as f:
                self.read(f)

    def read(self, lines):
        for line in lines:
            try:
                said = json.loads(line)
            except json.JSONDecodeError:
                break  # cut short: is_complete stays False
            if "kernel" in said:
                self.release = said["kernel"]
                self.version = said["version"]
                self.machine = said["machine"]
            elif "test" in said:
                self.tests[said["test"]] = said
            elif "probe" in said:
                self.hooks[said["probe"], said["hook"]] = said
            elif "end" in said:
                self.is_complete = said["end"] == len(self.tests)

    def title(self):
        """
        The upstream version, which Debian's release does not always name; and the architecture, if
        it is another than here.
        """
        debian = re.search(r"Debian (\d+\.\d+\.\d+)", self.version)
        title = debian[1] if debian else re.split(r"[-+]", self.release)[0]
        return title if self.machine == os.uname().machine else f"{title} {self.machine}"

    def count(self, result):
        return sum(t["result"] == result for t in self.tests.values())


def names(kernels, of):
    """In order; of the first kernel that has them."""
    return list(dict.fromkeys(key for k in kernels for key in of(k)))


def aligned(rows):
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())


def shown(result):
    return {"fail": "FAIL"}.get(result, result)


def print_tests(ran):
    rows = [["TEST", *(k.title() for k in ran)]]
    for name in names(ran, lambda k: k.tests):
        if not name.startswith("hook "):
            rows.append([name, *(shown(k.tests[name]["result"]) if name in k.tests else "-"
                                 for k in ran)])
    aligned(rows)
    print('\n"lost": the trace missed events, and its exit status and report said so.')


def hook_rows(ran):
    for probe, hook in names(ran, lambda k: k.hooks):
        cells = []
        for kernel in ran:
            said = kernel.hooks.get((probe, hook))
            state = STATES[said["state"]] if said else "-"
            cells.append(f"{state}, lost" if said and said["result"] == "lost" else state)
        yield [probe, hook, *cells]


def print_hooks(ran):
    print()
    aligned([["PROBE", "HOOK", *(k.title() for k in ran)], *hook_rows(ran)])
    print('\n"taken": used where none is asked for; "works": asked for by name. All its programs '
          'ran, and it was exact,\nbut where it lost events, and said so: "lost". "-": not tried there.')


def print_reasons(ran):
    print()
    for kernel in ran:
        for name, test in kernel.tests.items():
            if test["result"] != "pass":
                why = " ".join(test["why"].split())
                print(f"{kernel.title()}: {shown(test['result'])}: {name}: {why}")


def update(document, ran):
    rows = list(hook_rows(ran))
    table = ["| probe | hook | " + " | ".join(f"{k.title()} ({k.name})" for k in ran) + " |",
             "|" + "---|" * (2 + len(ran)),
             *(f"| `{r[0]}` | `{r[1]}` | " + " | ".join(r[2:]) + " |" for r in rows)]
    with open(document, encoding="utf-8") as f:
        text = f.read()
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        sys.exit(f"tables.py: {document} has no place for the table: {BEGIN} and {END}")
    head, rest = text.split(BEGIN)
    tail = rest.split(END)[1]
    with open(document, "w", encoding="utf-8") as f:
        f.write(f"{head}{BEGIN}\n" + "\n".join(table) + f"\n{END}{tail}")


def faults(kernels, ran):
    """What no single test can tell."""
    for kernel in kernels:
        if not kernel.skipped and not kernel.is_complete:
            yield f"{kernel.name} did not run to its end"
    emulated = [k for k in ran if k.name != "host" and k.is_complete]
    if len(emulated) < NEEDED:
        yield f"{len(emulated)} kernels were emulated; {NEEDED} are needed"
    for key in names(ran, lambda k: k.hooks):
        if not any(k.hooks[key]["result"] == "pass" and k.hooks[key]["state"] != "untried"
                   for k in ran if key in k.hooks):
            yield f"hook {'='.join(key)} was exact on no kernel here"


def main():
    arguments = [a for a in sys.argv[1:] if a != "--update"]
    kernels = [Kernel(arguments[0], name) for name in arguments[2:]]
    ran = [k for k in kernels if k.release]
    if ran:
        print_tests(ran)
        print_hooks(ran)
        print_reasons(ran)
    skipped = [k for k in kernels if k.skipped]
    for kernel in skipped:
        print(f"skip: {kernel.name}: {kernel.skipped}")
    wrong = list(faults(kernels, ran))
    for fault in wrong:
        print(f"FAIL: {fault}")
    failed = sum(k.count("fail") for k in ran) + len(wrong)
    if "--update" in sys.argv:
        if failed or skipped:
            sys.exit("tables.py: no update: not all kernels passed")
        update(arguments[1], ran)
    lost = sum(k.count("lost") for k in ran)
    print(f"{lost} of those that passed lost events, and said so" if lost else "nothing was lost")
    print(f"{sum(k.count('pass') for k in ran) + lost} passed, {failed} failed, "
          f"{sum(k.count('skip') for k in ran) + len(skipped)} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
