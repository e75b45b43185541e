#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""Checks saved reports against docs/report.schema.json.

usage: check_schema.py FILE...     each file holds one JSON report, or one per line
       check_schema.py --update    bring the schema in step with metrics.def and protocols.def

Every run also checks that the schema is a valid one and describes every row of
user/model/metrics.def, in the words of its help, and every protocol of
include/socktrace/protocols.def. Needs Debian's python3-jsonschema.
Exit status: 0 all valid, 1 not, 2 wrong usage.
"""

import json
import pathlib
import re
import sys

import jsonschema

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCHEMA = ROOT / "docs" / "report.schema.json"
METRICS = ROOT / "user" / "model" / "metrics.def"
PROTOCOLS = ROOT / "include" / "socktrace" / "protocols.def"

UNIT = {"COUNT": "", "NS": ", in ns", "BYTES": ", in bytes"}


# Sort of a row of metrics.def: the definition that describes its metrics.
HOLDERS = {"TASK": "{group}", "CALL": "syscall", "SOCKET": "socket_{group}"}


def metric_rows():
    """Yields (holder, name, unit, help) for every metric of metrics.def."""
    row = re.compile(r'^(TASK|CALL|SOCKET)_METRIC\(([^"]*),\s*"[^"]*",\s*"([^"]*)"\)', re.M)
    for sort, names, help_text in row.findall(metrics_text()):
        fields = [f.strip() for f in names.split(",")]
        group = fields.pop(0) if sort != "CALL" else None
        yield HOLDERS[sort].format(group=group), fields[0], fields[2], help_text


def spread_rows():
    """Yields (name, help) for every spread of metrics.def."""
    return re.findall(r'^SOCKET_SPREAD\((\w+), "([^"]*)"\)', metrics_text(), re.M)


def sum_rows():
    """Yields (name, unit, help) for every sum over the subject of a workload."""
    return re.findall(r'^WORKLOAD_SUM\((\w+), (\w+), "([^"]*)"\)', metrics_text(), re.M)


def metrics_text():
    return re.sub(r"/\*.*?\*/", "", METRICS.read_text(), flags=re.S)


def metric_schema(unit, help_text):
    return {
        "description": f"{help_text}{UNIT[unit]}; null if it could not be measured",
        "$ref": "#/$defs/metric",
    }


def update_metrics(schema):
    """Describes every metric in the object that holds it, and requires it there."""
    for holder_name, name, unit, help_text in metric_rows():
        holder = schema["$defs"][holder_name]
        holder["properties"][name] = metric_schema(unit, help_text)
        if name not in holder["required"]:
            holder["required"].append(name)
    stats = schema["$defs"]["trial_stats"]
    for name, unit, help_text in sum_rows():
        stats["properties"][name] = metric_schema(unit, help_text)
        if name not in stats["required"]:
            stats["required"].append(name)
    spreads = schema["$defs"]["socket_spreads"]["properties"]
    for name, help_text in spread_rows():
        spreads[name] = {"description": help_text, "$ref": "#/$defs/spread"}


def update_protocols(schema):
    """What a socket may be is what the programs tell apart, and the reader takes."""
    names = re.findall(r'^SOCK_PROTOCOL\(\w+, "([^"]*)"\)', PROTOCOLS.read_text(), re.M)
    schema["$defs"]["socket_row"]["properties"]["protocol"]["enum"] = names


def load_schema():
    return json.loads(SCHEMA.read_text())


def dump_schema(schema):
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def no_duplicates(pairs):
    names = [name for name, _ in pairs]
    for name in set(names):
        if names.count(name) > 1:
            raise ValueError(f"the name {name!r} is there twice in one object")
    return dict(pairs)


def reports(text):
    """Yields every JSON value of a text."""
    decoder = json.JSONDecoder(object_pairs_hook=no_duplicates)
    text = text.strip()
    while text:
        value, end = decoder.raw_decode(text)
        yield value
        text = text[end:].lstrip()


def problems(path, validator):
    """Yields what is wrong with a file, one line each."""
    try:
        values = list(reports(pathlib.Path(path).read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        yield f"{path}: {error}"
        return
    if not values:
        yield f"{path}: no report in it"
    for number, value in enumerate(values, 1):
        for error in validator.iter_errors(value):
            where = "/".join(str(part) for part in error.absolute_path) or "the whole"
            yield f"{path}: report {number}: {where}: {error.message[:300]}"


def main(arguments):
    schema = load_schema()
    if arguments == ["--update"]:
        update_metrics(schema)
        update_protocols(schema)
        SCHEMA.write_text(dump_schema(schema))
        return 0
    if not arguments or arguments[0].startswith("-"):
        print(__doc__, file=sys.stderr)
        return 2
    before = dump_schema(schema)
    update_metrics(schema)
    update_protocols(schema)
    found = []
    if dump_schema(schema) != before:
        found.append(f"{SCHEMA}: not in step with {METRICS.name} and {PROTOCOLS.name}; run {sys.argv[0]} --update")
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    for path in arguments:
        found.extend(problems(path, validator))
    for line in found:
        print(line, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
