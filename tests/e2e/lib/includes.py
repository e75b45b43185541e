#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""includes.py ROOT: holds every #include of the sources against the direction of the flow.

    bpf programs -> maps -> capture -> model -> report, base below all of them; bpf/ and user/ meet
    only in include/socktrace/; only kernel/ and capture/ see libbpf.
"""

import pathlib
import re
import sys

# Folder: the project's own folders that it may include from, itself apart.
MAY_INCLUDE = {
    "include/socktrace": set(),
    "bpf": {"include/socktrace", "vmlinux"},
    "user/base": set(),
    "user/model": {"user/base", "include/socktrace"},
    "user/report": {"user/base", "user/model", "include/socktrace"},
    "user/kernel": {"user/base", "include/socktrace", "skeleton"},
    "user/capture": {"user/base", "user/model", "user/kernel", "include/socktrace", "skeleton"},
    "user/workload": {"user/base"},
    "user/cmd": {"user/base", "user/model", "user/report", "user/kernel", "user/capture",
                 "user/workload", "include/socktrace"},
    "user": {"user/base", "user/kernel", "user/cmd"},
}
# System headers that are a direction of their own.
LIBBPF = {"user/kernel", "user/capture"}
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def target(root, source, name):
    """The folder that a quoted header lies in."""
    if name.endswith(".skel.h"):
        return "skeleton"
    for place in (source.parent, root / "user", root / "include", root / "vmlinux", root / "bpf"):
        header = (place / name).resolve()
        if header.is_file() and header.is_relative_to(root):
            return header.parent.relative_to(root).as_posix()
    # Not there: what it says. A file that does not exist is the compiler's business.
    first = pathlib.PurePosixPath(name)
    return f"user/{first.parts[0]}" if len(first.parts) > 1 else source.parent.relative_to(root).as_posix()


def problem(root, source, quote, name):
    folder = source.parent.relative_to(root).as_posix()
    if folder not in MAY_INCLUDE:
        return "this folder has no place in the flow"
    if quote == "<":
        if name.startswith("bpf/") and folder != "bpf" and folder not in LIBBPF:
            return "libbpf is for kernel/ and capture/"
        if folder == "bpf" and not name.startswith("bpf/"):
            return "BPF programs have no C library"
        return None
    to = target(root, source, name)
    if "/" in name and to == "include/socktrace" and not name.startswith("socktrace/"):
        return f"write socktrace/{pathlib.PurePosixPath(name).name}"
    if to != folder and to not in MAY_INCLUDE[folder]:
        return f"{folder} may not include from {to}"
    return None


def main():
    root = pathlib.Path(sys.argv[1]).resolve()
    sources = [f for top in ("bpf", "user", "include") for f in sorted((root / top).rglob("*"))
               if f.suffix in (".c", ".h", ".def")]
    count = wrong = 0
    for source in sources:
        for number, line in enumerate(source.read_text(encoding="utf-8").splitlines(), 1):
            include = INCLUDE.match(line)
            if not include:
                continue
            count += 1
            why = problem(root, source, include[1], include[2])
            if why:
                wrong += 1
                print(f"{source.relative_to(root)}:{number}: {include[2]}: {why}", file=sys.stderr)
    if not count:
        print("no includes found: is this the right folder?", file=sys.stderr)
    return 1 if wrong or not count else 0


if __name__ == "__main__":
    sys.exit(main())
