#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""Holds what a test program knows about its sockets against what a tracer says of them.

sockets.py report TRUTH REPORT   a socktrace report
sockets.py strace TRUTH LOG      the log of strace -f -y -o LOG
sockets.py sound REPORT          no truth: only that the report agrees with itself

Prints every difference and exits 1 if there is one. See programs/endpoint.h for what a truth
holds. What the report says of threads and calls is for compare.py.
"""

import argparse
import collections
import re
import sys

from compare import Problems, check_sound, load_report, load_truth

SEND = ("calls", "bytes", "errors")
RECEIVE = SEND + ("peek_calls", "peek_bytes", "trunc_calls", "trunc_bytes")
COUNTS = tuple(("send", f) for f in SEND) + tuple(("receive", f) for f in RECEIVE)


# --- names -------------------------------------------------------------------------------------


def cleaned(name):
    """The bytes of a Unix socket's name as every report has them: valid UTF-8, without NUL."""
    text = name.encode("latin-1").decode("utf-8", errors="backslashreplace")
    return text.replace("\0", "\\x00")


def endpoint_name(name, family):
    """None: not compared."""
    if name is None or family == "unix":
        return name
    return "*" if name.endswith(":0") and name.startswith(("0.0.0.0", "[::]")) else name


def expected_names(socket):
    local, remote = (endpoint_name(socket[k], socket["family"]) for k in ("local", "remote"))
    if socket["family"] == "unix":
        local, remote = (n if n is None else cleaned(n) for n in (local, remote))
        if local not in (None, "*"):  # a peer's name is for those that have none themselves
            remote = None
    return local, remote


# --- a report by itself ------------------------------------------------------------------------


def totals(rows):
    return {
        "sent_calls": sum(r["send"]["calls"] for r in rows),
        "sent_bytes": sum(r["send"]["bytes"] for r in rows),
        "received_calls": sum(r["receive"]["calls"] + r["receive"]["trunc_calls"] for r in rows),
        "received_bytes": sum(r["receive"]["bytes"] for r in rows),
    }


def check_row(problems, where, row):
    if row["connections"] < 1:
        problems.add(where, "no connection")
    if (row["tcp"] is None) != (row["protocol"] not in ("tcp", "mptcp")):
        problems.add(where, f"tcp is {row['tcp']}")
    if (row["udp"] is None) != (row["protocol"] != "udp"):
        problems.add(where, f"udp is {row['udp']}")
    for field in ("opened_ns", "closed_ns"):
        if row["connections"] > 1 and row[field] is not None:
            problems.add(where, f"folded, but with {field}")
    for reason, drop in row["drops"].items():
        if not drop["packets"] or (drop["first_ns"] or 0) > (drop["last_ns"] or 0):
            problems.add(where, f"drop {reason}: {drop}")


def names_of(row):
    """No name is any name."""
    return row["local"] or "*", row["remote"] or "*"


def row_name(row):
    return f"{row['protocol']} {row['role']} {row['local']!r} {row['remote']!r}"


def check_sockets(problems, report, nulls):
    for process in report["processes"]:
        where = f"process {process['pid']}"
        for row in process["sockets"]:
            check_row(problems, f"{where} {row_name(row)}", row)
        problems.equal(where, "sums of its sockets", totals(process["sockets"]),
                       process["socket"])
        for field, value in process["socket"].items():
            problems.equal(where, f"sum of threads' {field}", value,
                           sum(t["socket"][field] for t in process["threads"]))
    check_sound(problems, report, nulls)


def audited(problems, report, name, protocol):
    """A socket that several share is in the audit of one of them only."""
    moved = sum(r["send"]["bytes"] + r["receive"]["bytes"] for p in report["processes"]
                for r in p["sockets"] if r["protocol"] == protocol)
    if moved and name not in {a["name"] for a in report["audits"]}:
        problems.add("report", f"no audit {name}")


# --- a report against a truth ------------------------------------------------------------------


def figure(row, path):
    """The sum of some figures; None if one is not known."""
    values = []
    for part in path.split(" + "):
        value = row
        for name in part.split("."):
            value = (value or {}).get(name)
        values.append(value)
    return None if None in values else sum(values)


def compare_counts(problems, where, truth, row):
    for group, field in COUNTS:
        low = truth[group][field]
        high = low + (truth[group]["maybe_errors"] if field == "errors" else 0)
        value = row[group][field]
        if value is None or not low <= value <= high:
            problems.add(where, f"{group}.{field}: expected {low}{f' to {high}' * (high > low)}, "
                         f"observed {value}")


def lives_on(row):
    """A connection that nobody holds any more, but of which the kernel still takes leave."""
    return row["tcp"] and row["shared_by"] is None and row["tcp"]["closed_by"] and (
        row["tcp"]["state"] in ("FIN-WAIT-1", "FIN-WAIT-2", "LAST-ACK", "CLOSING", "TIME-WAIT"))


def compare_life(problems, where, truth, row):
    roles = {truth["role"]}
    if truth["early"] and truth["role"] != "listen":
        roles.add("none")  # how it came to be is not always to be seen
    if truth["role"] and row["role"] not in roles:
        problems.add(where, f"role: expected {truth['role']}, observed {row['role']}")
    if (row["opened_ns"] is None) != truth["early"]:
        problems.add(where, f"opened_ns: {row['opened_ns']}, early: {truth['early']}")
    if (row["closed_ns"] is None and not lives_on(row)) != truth["alive"]:
        problems.add(where, f"closed_ns: {row['closed_ns']}, alive: {truth['alive']}")
    for field in ("state", "closed_by"):
        if truth[field]:
            problems.equal(where, f"tcp.{field}", truth[field], row["tcp"][field])


def compare_figures(problems, where, truth, row):
    for f in truth["figures"]:
        value = figure(row, f["path"])
        if f["min"] > f["max"]:
            problems.equal(where, f["path"], None, value)
        elif value is None or not f["min"] <= value <= f["max"]:
            problems.add(where, f"{f['path']}: expected {f['min']} to {f['max']}, "
                         f"observed {value}")
    if truth["drops"] or truth["protocol"] not in ("tcp", "mptcp"):
        drops = {reason: {"packets": d["packets"], "bytes": d["bytes"]}
                 for reason, d in row["drops"].items()}
        problems.equal(where, "drops", truth["drops"], drops)


def compare_row(problems, truth, row):
    where = f"process {truth['pid']} {row_name(row)}"
    compare_counts(problems, where, truth, row)
    compare_figures(problems, where, truth, row)
    problems.equal(where, "connections", truth["connections"], row["connections"])
    if truth["connections"] == 1:
        compare_life(problems, where, truth, row)


class Silent(Problems):
    def add(self, where, text):
        self.count += 1


def differences(truth, row):
    problems = Silent()
    compare_row(problems, truth, row)
    return problems.count


def may_be(truth, row):
    """Whether a row may be that of a socket, by its names."""
    if (truth["protocol"], truth["family"]) != (row["protocol"], row["family"]):
        return False
    return all(want is None or want == have
               for want, have in zip(expected_names(truth), names_of(row)))


def is_idle(truth):
    """Held, but not used: the report may leave it out."""
    return truth["role"] in (None, "none") and not any(truth[g][f] for g, f in COUNTS)


class Rows:
    """The rows of a process that are not accounted for yet."""

    def __init__(self, rows):
        self.all = dict(enumerate(rows))
        self.by_names = collections.defaultdict(list)
        for i, row in self.all.items():
            self.by_names[names_of(row)].append(i)

    def may_be(self, truth):
        """Indices of single rows that may be that of a socket."""
        names = expected_names(truth)
        some = self.all if None in names else self.by_names.get(names, ())
        return [i for i in some if i in self.all and self.all[i]["connections"] == 1
                and may_be(truth, self.all[i])]

    def of_key(self, truth):
        """Indices of closed rows with the key of a socket."""
        return [i for i, r in self.all.items() if same_key(truth, r)
                and (r["connections"] > 1 or r["closed_ns"] is not None)]

    def is_folded(self, truth):
        return any(r["connections"] > 1 and same_key(truth, r) for r in self.all.values())


def match_one(problems, truth, rows):
    candidates = rows.may_be(truth)
    if not candidates and is_idle(truth):
        return
    if not candidates:
        problems.add(f"process {truth['pid']}",
                     f"no row for {truth['protocol']} {truth['role']} {expected_names(truth)}")
        return
    best = min(candidates, key=lambda i: differences(truth, rows.all[i]))
    compare_row(problems, truth, rows.all.pop(best))


def fold_key(role, local, remote):
    return remote if role == "connect" else local


def merged(items):
    """One account of several with the same key."""
    whole = dict(items[0], connections=0, figures=[], drops={},
                 send=collections.Counter(), receive=collections.Counter())
    for item in items:
        whole["connections"] += item["connections"]
        for group in ("send", "receive"):
            whole[group].update({f: item[group].get(f, 0) for f in RECEIVE + ("maybe_errors",)
                                 if f in item[group]})
        for reason, drop in item["drops"].items():
            into = whole["drops"].setdefault(reason, {"packets": 0, "bytes": 0})
            into["packets"] += drop["packets"]
            into["bytes"] += drop["bytes"]
    whole["figures"] = [f for item in items for f in item["figures"]
                        if item["connections"] > 1]
    return whole


def add_up(rows):
    """One row of several with the same key: counts, and the figures that add up."""
    if len(rows) == 1:
        return rows[0]
    row = merged(rows_with_figures(rows))
    for group in ("tcp", "udp"):
        parts = [r[group] for r in rows if r[group]]
        row[group] = {f: sum(p[f] for p in parts) for f in (parts[0] if parts else {})
                      if all(type(p[f]) is int for p in parts)} or None
    return row


def rows_with_figures(rows):
    return [dict(r, figures=[]) for r in rows]


def same_key(truth, row):
    if any(truth[f] != row[f] for f in ("protocol", "family", "role")):
        return False
    return fold_key(truth["role"], *expected_names(truth)) == fold_key(
        row["role"], *names_of(row))


def match_many(problems, truth, sockets, rows):
    """All closed sockets with the key of an account that stands for many, or of a folded row."""
    same = [rows.all.pop(i) for i in rows.of_key(truth)]
    folded = [t for t in sockets if not t["alive"] and same_key(t, truth)]
    if same:
        compare_row(problems, merged(folded), add_up(same))
    else:
        problems.add(f"process {truth['pid']}", f"no row for many {expected_names(truth)}")
    return folded


def is_only_held(truth, row):
    """A row without counts, of a socket that another process of the program has used."""
    return not any(row[g][f] for g, f in COUNTS) and any(may_be(s, row) for s in truth["sockets"])


def compare_process(problems, truth, process):
    sockets = [s for s in truth["sockets"] if s["pid"] == process["pid"]]
    rows = Rows(process["sockets"])
    left = list(sockets)
    for socket in sockets:
        if not socket["alive"] and socket in left and (
                socket["connections"] > 1 or rows.is_folded(socket)):
            done = match_many(problems, socket, left, rows)
            left = [s for s in left if s not in done]
    # Those whose names say most choose first.
    for socket in sorted(left, key=lambda s: sum(n in (None, "*") for n in expected_names(s))):
        match_one(problems, socket, rows)
    for row in rows.all.values():
        if not is_only_held(truth, row):
            problems.add(f"process {process['pid']}", f"not in the program: {row_name(row)}")


def compare_report(problems, truth, report, options):
    wanted = [p["pid"] for p in truth["processes"]]
    if options.only:
        wanted = [pid for pid in wanted if pid in options.only]
    reported = {p["pid"]: p for p in report["processes"]}
    for pid in wanted:
        if pid not in reported:
            problems.add(f"process {pid}", "not in the report")
            continue
        compare_process(problems, truth, reported[pid])


# --- strace against a truth --------------------------------------------------------------------

UNFINISHED = re.compile(r"^(\d+) +(.*?) ?<unfinished \.\.\.>$")
RESUMED = re.compile(r"^(\d+) +<\.\.\. \w+ resumed>(.*)$")
CALL = re.compile(r"^(\d+) +(\w+)\((.*)\) += (-?\d+)")
ERROR = re.compile(r"^(\d+) +(\w+)\((.*)\) += -1 E")
SOCKET = re.compile(r"^(\d+)<socket:\[(\d+)\]>$")
LENGTH = re.compile(r"msg_len=(\d+)")

# Where a call has its socket, and which direction that is.
DESCRIPTORS = {name: ((0, "send"),) for name in
               ("sendto", "sendmsg", "sendmmsg", "write", "writev", "pwritev2", "sendfile")}
DESCRIPTORS.update({name: ((0, "receive"),) for name in
                    ("recvfrom", "recvmsg", "recvmmsg", "read", "readv", "preadv2")})
DESCRIPTORS["splice"] = ((0, "receive"), (2, "send"))
FLAGS = {"recvfrom": 3, "recvmsg": 2, "recvmmsg": 3}


def split_arguments(text):
    """At the commas that are within no brackets and no string."""
    parts, depth, start, quoted = [], 0, 0, False
    for i, c in enumerate(text):
        if c == '"' and text[i - 1] != "\\":
            quoted = not quoted
        elif not quoted and c in "([{":
            depth += 1
        elif not quoted and c in ")]}":
            depth -= 1
        elif not quoted and not depth and c == ",":
            parts.append(text[start:i].strip())
            start = i + 1
    return parts + [text[start:].strip()]


def whole_lines(lines):
    begun = {}
    for line in lines:
        line = line.rstrip("\n")
        first, rest = UNFINISHED.match(line), RESUMED.match(line)
        if first:
            begun[first[1]] = line[:-len("<unfinished ...>")].rstrip()
        elif rest and rest[1] in begun:
            yield begun.pop(rest[1]) + rest[2]
        else:
            yield line


def kind_of(name, arguments):
    flags = arguments[FLAGS[name]] if name in FLAGS else ""
    if "MSG_ERRQUEUE" in flags:
        return None
    return "peek_" if "MSG_PEEK" in flags else "trunc_" if "MSG_TRUNC" in flags else ""


def enter(counts, name, direction, arguments, ret, failed):
    kind = kind_of(name, arguments)
    if failed:
        counts[(direction, "errors")] += 1
    elif kind is not None:
        many = name in ("sendmmsg", "recvmmsg")
        lengths = [int(n) for n in LENGTH.findall(arguments[1])][:ret] if many else [ret]
        counts[(direction, kind + "calls")] += len(lengths)
        counts[(direction, kind + "bytes")] += sum(lengths)


def parse_strace(lines, pid_of):
    """{(pid, inode): {(direction, field): count}}"""
    seen = collections.defaultdict(collections.Counter)
    for line in whole_lines(lines):
        match = CALL.match(line)
        if not match or match[2] not in DESCRIPTORS:
            continue
        arguments = split_arguments(match[3])
        for index, direction in DESCRIPTORS[match[2]]:
            socket = SOCKET.match(arguments[index])
            if socket:
                key = (pid_of.get(int(match[1]), int(match[1])), int(socket[2]))
                enter(seen[key], match[2], direction, arguments, int(match[4]),
                      bool(ERROR.match(line)))
    return seen


def compare_strace(problems, truth, lines):
    pid_of = {t["tid"]: p["pid"] for p in truth["processes"] for t in p["threads"]}
    seen = parse_strace(lines, pid_of)
    compared = 0
    known = collections.defaultdict(list)  # one that was used anew has several accounts
    for socket in truth["sockets"]:
        if socket["inode"]:
            known[(socket["pid"], socket["inode"])].append(socket)
    for key, sockets in known.items():
        compared += 1
        counts = seen.pop(key, {})
        where = f"strace: process {key[0]} {sockets[0]['protocol']} {expected_names(sockets[0])}"
        for group, field in COUNTS:
            problems.equal(where, f"{group}.{field}", sum(s[group][field] for s in sockets),
                           counts.get((group, field), 0))
    for pid, inode in seen:
        if pid in pid_of.values():
            problems.add(f"strace: process {pid}", f"a socket without account: inode {inode}")
    if not compared:
        problems.add("strace", "nothing to compare")


def parse_arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("report", "strace", "sound"))
    parser.add_argument("files", nargs="+")
    parser.add_argument("--only", type=int, action="append", help="PID that alone is traced")
    parser.add_argument("--udp-audit", action="store_true",
                        help="UDP sockets are open at the end, so their drops can be audited")
    parser.add_argument("--null", action="append", default=[], help="audit that may be null")
    return parser.parse_args()


def main():
    options = parse_arguments()
    problems = Problems()
    if options.what == "strace":
        with open(options.files[1], encoding="utf-8", errors="replace") as f:
            compare_strace(problems, load_truth(options.files[0]), f)
    else:
        report = load_report(options.files[-1])
        check_sockets(problems, report, options.null)
        audited(problems, report, "tcp_bytes", "tcp")
        if options.udp_audit:
            audited(problems, report, "udp_drops", "udp")
        if options.what == "report":
            compare_report(problems, load_truth(options.files[0]), report, options)
    if problems.count:
        print(f"{problems.count} differences", file=sys.stderr)
    return 1 if problems.count else 0


if __name__ == "__main__":
    sys.exit(main())
