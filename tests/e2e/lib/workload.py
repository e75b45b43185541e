#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""What run-workload says, held against itself and against what was asked for.

workload.py sound REPORT        all trials were run as asked, each part did its work, and the trace
                                has exactly what the parts counted. Looks at the figures themselves,
                                not at the report's own verdict alone.
workload.py cells REPORT        prints the cell of each trial in order: "threaded,16 traced"
"""

import collections
import itertools
import json
import sys

# Calls that a part cannot do without, by workload and role; "a|b": one of them.
CALLS = {
    "gateway": {
        "server": "accept4 recvfrom sendto close epoll_pwait|ppoll",
        "client": "socket setsockopt connect getsockopt epoll_ctl epoll_pwait sendto recvfrom"
        " shutdown close",
    },
    "feed": {
        "subscriber": "ppoll recvfrom|recvmmsg getsockopt",
        "publisher": "sendto|sendmmsg ppoll",
    },
    "forwarder": {
        "server": "accept4 epoll_ctl epoll_pwait recvfrom sendto close",
        "forwarder": "accept4 socket connect epoll_ctl epoll_pwait recvfrom|splice sendto|splice"
        " shutdown close",
        "client": "socket connect epoll_ctl epoll_pwait sendto recvfrom close",
    },
}
# Of what it moves, the trace tells the bytes of these.
MOVING = {"read", "recvfrom", "sendto", "splice"}
SOCKET_FACTS = {
    "sent_bytes": ("tcp", lambda s: s["send"]["bytes"]),
    "received_bytes": ("tcp", lambda s: s["receive"]["bytes"]),
    "datagrams_sent": ("udp", lambda s: s["udp"]["datagrams_sent"]),
    "datagrams_received": ("udp", lambda s: s["udp"]["datagrams_received"]),
}
CONNECTION_FACTS = {"connections_accepted", "connections_opened"}
# Audits that must be able to tell.
DEFINITE = {"workload_truth", "udp_balance", "tcp_bytes"}
UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}

wrong = []


def expect(holds, *what):
    if not holds:
        wrong.append(" ".join(map(str, what)))


def same(what, found, wanted):
    expect(found == wanted, f"{what}: {found}, not {wanted}")


def number(text):
    return int(text[:-1]) * UNITS[text[-1]] if text[-1] in UNITS else int(text)


class Trial:
    def __init__(self, report, trial):
        workload = report["workload"]
        swept = [p["name"] for p in workload["parameters"] if p["is_swept"]]
        self.name = workload["name"]
        self.title = f"trial {trial['number']}"
        self.json = trial
        self.option = {p["name"]: p["values"][0] for p in workload["parameters"]}
        self.option.update(zip(swept, trial["cell"]))
        self.roles = [p["role"] for p in trial["parts"]]
        self.processes = {
            p["pid"]: p for p in report["processes"] if p["trial"] == trial["number"]
        }
        self.results = trial["results"]

    def asked(self, name):
        return number(self.option[name])

    def truth(self, role, fact):
        return self.json["truth"][role].get(fact)

    def same(self, what, found, wanted):
        same(f"{self.title}: {what}", found, wanted)


# --- truth against the trace ---------------------------------------------------------------------


def flat(facts):
    for key, value in facts.items():
        if isinstance(value, dict):
            yield from ((f"{key}.{name}", n) for name, n in value.items())
        else:
            yield key, value


def count(process, fact):
    """What the report's own rows of a process say of a fact; None: not to be had from rows."""
    kind, _, call = fact.partition(".")
    rows = [c for c in process["syscalls"] if c["name"] == call]
    if kind == "calls":
        return sum(c["calls"] - c["restarts"] for c in rows)
    if kind == "errors":
        return sum(c["errors"] for c in rows)
    if kind == "bytes":
        return sum(c["bytes"] or 0 for c in rows) if call in MOVING else None
    if fact in SOCKET_FACTS:
        protocol, get = SOCKET_FACTS[fact]
        return sum(get(s) for s in process["sockets"] if s["protocol"] == protocol)
    return None


def check_part(t, part):
    role = part["role"]
    truth = dict(flat(t.json["truth"][role]))
    observed = dict(flat(t.json["observed"][role]))
    process = t.processes.get(part["pid"])
    expect(process, f"{t.title}: no process {part['pid']} of {role}")
    for fact, n in truth.items():
        if fact.startswith("bytes.") and fact.split(".")[1] not in MOVING:
            continue
        if "." in fact or fact in SOCKET_FACTS or fact in CONNECTION_FACTS:
            t.same(f"{role} {fact}, as observed", observed.get(fact), n)
        seen = count(process, fact) if process else None
        if seen is not None:
            t.same(f"{role} {fact}, in the rows of its process", seen, n)
    expect(set(observed) <= set(truth), f"{t.title}: {role}: observed what nobody counted")


def is_foreign(t, role):
    return t.name == "forwarder" and t.option["load"] == "iperf3" and role != "forwarder"


def check_calls(t, role):
    calls = t.json["truth"][role].get("calls", {})
    for names in CALLS[t.name][role].split():
        made = sum(calls.get(name, 0) for name in names.split("|"))
        expect(made > 0, f"{t.title}: {role} made no {names}")


def check_traced(t):
    expect(t.json["exact"] is True, f"{t.title}: not exact")
    same(f"{t.title}: processes", set(t.processes), {p["pid"] for p in t.json["parts"]})
    for part in t.json["parts"]:
        check_part(t, part)


def check_untraced(t):
    expect(t.json["exact"] is None, f"{t.title}: untraced, but exact")
    same(f"{t.title}: processes", t.processes, {})
    for part in t.json["parts"]:
        expect(not part["pid"], f"{t.title}: untraced, but with a pid")
        expect(not t.json["observed"].get(part["role"]), f"{t.title}: untraced, but observed")


# --- what each workload was asked for ------------------------------------------------------------


def check_gateway(t):
    connections = t.asked("connections") * t.asked("cycles")
    server, client = (lambda f, r=r: t.truth(r, f) for r in ("server", "client"))
    t.same("accepted", server("connections_accepted"), connections)
    t.same("opened", client("connections_opened"), connections)
    t.same("connections", t.results["connections"], connections)
    t.same("served", server("served"), client("requests"))
    t.same("requests", t.results["requests"], client("requests"))
    t.same("orders", server("orders") + server("cancels"), connections * t.asked("orders"))
    for fact in ("orders", "cancels", "heartbeats", "rejects"):
        t.same(fact, server(fact), client(fact))
    t.same("sum", client("orders") + client("cancels") + client("heartbeats"), client("requests"))
    t.same("bytes to the server", server("received_bytes"), client("sent_bytes"))
    t.same("bytes to the client", client("received_bytes"), server("sent_bytes"))
    t.same("length", client("sent_bytes"), client("requests") * t.asked("order-size"))
    t.same("sold", server("quantity_sold"), server("quantity_bought"))
    for fact in ("refused", "resets", "malformed"):
        t.same(fact, server(fact), 0)
    if t.option["mode"] == "threaded" and t.json["traced"]:
        process = t.processes[t.json["parts"][0]["pid"]]
        # Of each connection one, that which accepts, and that which waits for the stop.
        t.same("threads", sum(x["folded"] for x in process["threads"]), connections + 2)


def check_feed(t):
    publisher, subscriber = (lambda f, r=r: t.truth(r, f) for r in ("publisher", "subscriber"))
    sent, received = publisher("datagrams_sent"), subscriber("datagrams_received")
    t.same("offered", sent + publisher("datagrams_failed"), t.asked("messages"))
    t.same("published", t.results["messages_published"], sent)
    t.same("received", t.results["messages"], received)
    t.same("queued", subscriber("queued_memory_bytes"), 0)
    t.same("balance", received + subscriber("datagrams_dropped"), sent)
    t.same("bytes", subscriber("datagram_bytes_received"), received * t.asked("size"))
    for fact in ("corrupt", "duplicates", "out_of_order"):
        t.same(fact, subscriber(fact), 0)
    tail = sent - subscriber("highest_sequence")
    t.same("lost", subscriber("gaps") + tail, subscriber("datagrams_dropped"))
    t.same("asked for", t.results["receive_buffer_requested_bytes"], t.asked("rcvbuf"))
    if t.json["traced"]:
        check_drops(t, subscriber)


def check_drops(t, subscriber):
    drops = collections.Counter()
    for process in t.processes.values():
        for s in process["sockets"]:
            if s["protocol"] == "udp" and s["role"] == "bind":
                granted = t.results["receive_buffer_granted_bytes"]
                t.same("granted", s["udp"]["receive_buffer_bytes"], granted)
                expect(not s["udp"]["datagrams_queued"], f"{t.title}: datagrams are queued")
            drops.update({reason: d["packets"] for reason, d in s["drops"].items()})
    dropped = subscriber("datagrams_dropped")
    t.same("drops", dict(drops), {"SOCKET_RCVBUFF": dropped} if dropped else {})


def check_forwarder(t):
    forwarder = lambda f: t.truth("forwarder", f)
    expect(t.results["bytes"] > 0, f"{t.title}: no bytes")
    if t.option["load"] == "iperf3":
        expect(forwarder("sent_bytes") >= t.results["bytes"], f"{t.title}: bytes past the forwarder")
        return
    server, client = (lambda f, r=r: t.truth(r, f) for r in ("server", "client"))
    t.same("forwarded", forwarder("sent_bytes"), forwarder("received_bytes"))
    t.same("sent", forwarder("received_bytes"), server("sent_bytes") + client("sent_bytes"))
    t.same("got", forwarder("sent_bytes"), server("received_bytes") + client("received_bytes"))
    connections = client("connections_opened")
    t.same("connections", t.results["connections"], connections)
    for found in (
        forwarder("connections_accepted"),
        forwarder("connections_opened"),
        server("connections_accepted"),
    ):
        t.same("connections", found, connections)
    for fact in ("resets", "connections_refused"):
        t.same(fact, forwarder(fact), 0)
    if t.option["load"] == "crr":
        t.same("transactions", t.results["requests"], connections)
    else:
        t.same("streams", connections, t.asked("streams"))
    if t.option["splice"] == "yes":
        t.same("copied", t.truth("forwarder", "calls")["recvfrom"], 0)


CHECKS = {"gateway": check_gateway, "feed": check_feed, "forwarder": check_forwarder}

# --- the whole -----------------------------------------------------------------------------------


def check_audits(report):
    for a in report["audits"]:
        holds = a["ok"] is True or (a["ok"] is None and a["name"] not in DEFINITE)
        expect(holds, f"audit {a['name']} of {a['subject']}: {a['ok']}: {a['reason']}")
        if a["name"] in DEFINITE:
            same(f"audit {a['name']} of {a['subject']}", a["observed"], a["expected"])


def check_number_of_audits(report, trials):
    named = collections.Counter((a["name"], a["subject"].split(":")[0]) for a in report["audits"])
    for t in trials:
        expected = sum(not is_foreign(t, role) for role in t.roles) if t.json["traced"] else 0
        found = named["workload_truth", t.title]
        expect(found >= expected if expected else not found, f"{t.title}: {found} workload_truth")
        balance = t.name == "feed" and t.json["traced"]
        t.same("udp_balance", named["udp_balance", t.title], int(balance))


def check_order(report, trials):
    """Round by round through all cells; of a pair, the untraced one is first in every other."""
    workload = report["workload"]
    values = [p["values"] for p in workload["parameters"] if p["is_swept"]]
    cells = [list(cell) for cell in itertools.product(*values)]
    has_pairs = any(not t.json["traced"] for t in trials)
    same("numbers", [t.json["number"] for t in trials], list(range(1, len(trials) + 1)))
    per_round = len(cells) * (2 if has_pairs else 1)
    expect(len(trials) % per_round == 0, f"{len(trials)} trials in rounds of {per_round}")
    for i, t in enumerate(trials):
        number_of_round, at = divmod(i, per_round)
        t.same("cell", t.json["cell"], cells[at // 2 if has_pairs else at])
        traced = not has_pairs or (at + number_of_round) % 2 == 1
        t.same("traced", t.json["traced"], traced)


def sound(path):
    with open(path, encoding="utf-8") as f:
        report = json.load(f)
    trials = [Trial(report, t) for t in report["workload"]["trials"]]
    same("mode", report["capture"]["mode"], "run-workload")
    expect(report["capture"]["complete"] is True, "not complete")
    expect(trials, "no trials")
    check_audits(report)
    check_number_of_audits(report, trials)
    check_order(report, trials)
    for t in trials:
        same(f"{t.title}: roles", t.roles, list(CALLS[t.name]))
        (check_traced if t.json["traced"] else check_untraced)(t)
        for role in t.roles:
            if not is_foreign(t, role):
                check_calls(t, role)
        CHECKS[t.name](t)
        expect(t.results["duration_ns"] > 0, f"{t.title}: no duration")
    same(
        "trials of processes",
        {p["trial"] for p in report["processes"]},
        {t.json["number"] for t in trials if t.json["traced"]},
    )


def cells(path):
    with open(path, encoding="utf-8") as f:
        for t in json.load(f)["workload"]["trials"]:
            print(",".join(t["cell"]) or "-", "traced" if t["traced"] else "untraced")


def main():
    {"sound": sound, "cells": cells}[sys.argv[1]](sys.argv[2])
    for line in wrong[:20]:
        print(line, file=sys.stderr)
    if len(wrong) > 20:
        print(f"and {len(wrong) - 20} more", file=sys.stderr)
    sys.exit(bool(wrong))


main()
