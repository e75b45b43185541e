#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""probes.py ROOT: the registry user/kernel/probes.c as JSON, as the C preprocessor has it.

[{"name", "wanted", "hooks": [{"name", "where", "programs": {name: whether it may never run}}]}]
"""

import json
import re
import subprocess
import sys

TOKEN = re.compile(r"[{}]|\.(name|where|program|wanted|is_optional)\s*=\s*\(?"
                   r'((?:"[^"]*"\s*)+|[^,}]+)')


def text(value):
    return "".join(re.findall(r'"([^"]*)"', value))


def parse(source):
    probes = []
    depth = 0
    for token in TOKEN.finditer(source):
        field, value = token.groups()
        if not field:
            depth += 1 if token[0] == "{" else -1
        elif field == "name" and depth == 2:
            probes.append({"name": text(value), "wanted": "", "hooks": []})
        elif field == "name":
            programs = {}
            probes[-1]["hooks"].append({"name": text(value), "programs": programs})
        elif field == "wanted":
            probes[-1]["wanted"] = value
        elif field == "where":
            probes[-1]["hooks"][-1]["where"] = text(value)
        elif field == "program":
            program = text(value)
            attachments = programs.setdefault(program, [])
            attachments.append(False)
        elif value.strip(" ()") in ("1", "true"):
            attachments[-1] = True
    for probe in probes:
        for hook in probe["hooks"]:
            hook["programs"] = {name: all(a) for name, a in hook["programs"].items()}
    return probes


def main():
    root = sys.argv[1]
    source = subprocess.run(
        ["cc", "-E", "-P", f"-I{root}/include", f"-I{root}/user", f"{root}/user/kernel/probes.c"],
        check=True, stdout=subprocess.PIPE, text=True).stdout
    table = source.split("probes[] = ")[1].split("};\nconst size_t nr_probes")[0] + "}"
    probes = parse(table)
    if len(probes) < 10 or not all(
            p["hooks"] and p["wanted"] and all("where" in h for h in p["hooks"]) for p in probes):
        sys.exit("probes.py: user/kernel/probes.c has another form than this script knows")
    json.dump(probes, sys.stdout, indent=1)


if __name__ == "__main__":
    main()
