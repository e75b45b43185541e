#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""overhead_report.py [--check] JSON MD SVG DOC: what overhead.py measured, for people.

Writes MD, all tables; SVG, the plots; and the marked places of DOC, from one "begin NAME, made by
make bench" to its "end NAME". With --check nothing is written, and the exit status is 1 if a file
is not what JSON gives: then a figure was typed, or is of another run. Without gnuplot SVG is left
as it is.
"""

import difflib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

import overhead_plot
from overhead_tables import BLOCKS

FORMAT, VERSION = "socktrace-overhead", 1
BEGIN = re.compile(r"^<!-- begin ([a-z-]+), made by make bench -->$", re.M)
END = "<!-- end {} -->"
HEAD = """# What tracing costs

Made by `sudo make bench` from [overhead.json](overhead.json), which has every sample. What each
figure means, and how it was measured: [docs/OVERHEAD.md](../docs/OVERHEAD.md). The plots:
[overhead.svg](overhead.svg). In brackets: 95 % intervals of the median.
"""


def fail(text):
    sys.exit(f"overhead_report.py: {text}")


def read(path):
    try:
        with open(path, encoding="utf-8") as f:
            return f.read()
    except FileNotFoundError:
        return None


def load(path):
    text = read(path)
    if text is None:
        fail(f"{path} is missing; sudo make bench writes it")
    report = json.loads(text)
    if (report.get("format"), report.get("version")) != (FORMAT, VERSION):
        fail(f"{path} is not of format {FORMAT}, version {VERSION}")
    return report


def document(blocks):
    parts = [f"## {title}\n\n{blocks[name]}" for name, (title, _) in BLOCKS.items() if blocks[name]]
    return "\n".join([HEAD, *parts])


def filled(text, blocks, path):
    """@text with its marked places as @blocks say."""
    names = BEGIN.findall(text)
    if not names or len(set(names)) != len(names):
        fail(f"{path} has no marked places, or two of the same name")
    for name in names:
        begin, end = f"<!-- begin {name}, made by make bench -->\n", END.format(name) + "\n"
        if name not in blocks or text.count(begin) != 1 or text.count(end) != 1 or (
                text.index(end) < text.index(begin)):
            fail(f"{path}: the place {name} has no end, or there are no figures of that name")
        head, rest = text.split(begin)
        tail = rest.split(end)[1]
        text = head + begin + (blocks[name] or "Not measured in this run.\n") + end + tail
    return text


def gnuplot_version(svg):
    made = re.search(r"Produced by GNUPLOT ([^<\n]*)", svg or "")
    return made and made[1].strip()


def plotted(report):
    """None without gnuplot."""
    if not shutil.which("gnuplot"):
        print("overhead_report.py: gnuplot is missing, so no plots (Debian: gnuplot-nox)",
              file=sys.stderr)
        return None
    run = subprocess.run(["gnuplot", "-"], input=overhead_plot.script(report), text=True,
                         encoding="utf-8", capture_output=True, check=False)
    if run.returncode or not run.stdout.rstrip().endswith("</svg>"):
        fail(f"gnuplot failed: {run.stderr.strip()}")
    return run.stdout


def write(path, text):
    """All of it or nothing, and as its folder's owner: make bench runs under sudo."""
    folder = os.path.dirname(os.path.abspath(path))
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=folder, delete=False) as f:
        try:
            f.write(text)
            f.flush()
            os.fchmod(f.fileno(), 0o644)
            if os.geteuid() == 0:
                owner = os.stat(folder)
                os.fchown(f.fileno(), owner.st_uid, owner.st_gid)
            os.fsync(f.fileno())
            os.rename(f.name, path)
        except BaseException:
            os.unlink(f.name)
            raise


def differs(path, text):
    """Says how @path is not @text."""
    present = read(path)
    if present == text:
        return False
    print(f"{path} is not what the JSON gives; overhead_report.py writes it anew")
    lines = difflib.unified_diff((present or "").splitlines(), text.splitlines(), path, "made",
                                 lineterm="", n=0)
    for line, _ in zip(lines, range(20)):
        print(f"  {line[:200]}")
    return True


def main():
    arguments = [a for a in sys.argv[1:] if a != "--check"]
    if len(arguments) != 4 or any(a.startswith("--") for a in arguments):
        print(__doc__, file=sys.stderr)
        sys.exit(2)
    json_path, md, svg, doc = arguments
    report = load(json_path)
    blocks = {name: make(report) for name, (_, make) in BLOCKS.items()}
    text = read(doc)
    if text is None:
        fail(f"{doc} is missing")
    made = {md: document(blocks), doc: filled(text, blocks, doc), svg: plotted(report)}
    if "--check" not in sys.argv:
        for path, content in made.items():
            if content is not None:
                write(path, content)
        return 0
    if made[svg] and gnuplot_version(read(svg)) not in (None, gnuplot_version(made[svg])):
        print(f"{svg} is of another version of gnuplot, so it is not compared", file=sys.stderr)
        made[svg] = None
    return int(any([differs(path, content) for path, content in made.items()
                    if content is not None]))


if __name__ == "__main__":
    sys.exit(main())
