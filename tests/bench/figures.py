# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""What the benchmarks make of their samples: medians with intervals, ratios, order. Pure functions.

A series is what one thing showed: {round: value}. Two series are compared within each round, where
they were measured seconds apart, and never across rounds.
"""

import dataclasses
import math
import statistics

CONFIDENCE = 0.95


class Undefined(ValueError):
    """A figure that these samples do not give; the message says why."""


class NoSamples(Undefined):
    pass


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A median; low and high are None where there are too few rounds for an interval."""

    median: float
    low: float | None
    high: float | None
    rounds: int

    def holds(self, claim):
        """Whether @claim is true of the whole interval, of the median where there is none."""
        ends = (self.median,) if self.low is None else (self.low, self.high)
        return all(claim(end) for end in ends)


@dataclasses.dataclass(frozen=True)
class Counts:
    """What was counted, as a share of the truth."""

    is_exact: bool
    share: float
    lowest: float
    highest: float
    rounds: int


def coverage(n, k):
    """How likely the median lies between the k-th lowest and the k-th highest of @n samples.

    Each sample is below the median with probability 1/2, so that the number below it is binomial,
    and the interval misses only if fewer than k are below, or above: 1 - 2 P(Bin(n, 1/2) < k).
    The interval for a quantile of Conover, Practical Nonparametric Statistics, and of David and
    Nagaraja, Order Statistics. It assumes that rounds are independent, and nothing of the shape of
    noise.
    """
    return 1 - 2 * sum(math.comb(n, i) for i in range(k)) / 2**n


def interval_ranks(n, confidence=CONFIDENCE):
    """(k, n + 1 - k), from 1: the narrowest interval that is sure enough; None: there is none."""
    sure = [k for k in range(1, n // 2 + 1) if coverage(n, k) >= confidence]
    return (sure[-1], n + 1 - sure[-1]) if sure else None


def estimate(values, confidence=CONFIDENCE):
    """Median and interval of some values, or of a series."""
    ordered = sorted(values.values() if isinstance(values, dict) else values)
    if not ordered:
        raise NoSamples("no samples")
    ranks = interval_ranks(len(ordered), confidence)
    low, high = (ordered[ranks[0] - 1], ordered[ranks[1] - 1]) if ranks else (None, None)
    return Estimate(statistics.median(ordered), low, high, len(ordered))


def paired(function, *series):
    """function(...) of the values of each round that all @series have."""
    rounds = sorted(set.intersection(*(set(s) for s in series)))
    return {r: function(*(s[r] for s in series)) for r in rounds}


def ratio(series, reference):
    """series / reference, per round."""
    if not all(paired(lambda _, b: b > 0, series, reference).values()):
        raise Undefined("what it is compared with is not above 0")
    return paired(lambda a, b: a / b, series, reference)


def added(series, untraced):
    """series - untraced, per round."""
    return paired(lambda x, u: x - u, series, untraced)


def relative_cost(series, untraced, floor):
    """r = (x - u) / (f - u), per round: what x adds, in units of what the floor adds.

    Leaving out rounds in which the floor added nothing would leave out those that noise struck in
    one direction, so there is no r then.
    """
    floor_adds = paired(lambda _, u, f: f - u, series, untraced, floor)
    struck = sum(f <= 0 for f in floor_adds.values())
    if struck:
        raise Undefined(f"what it is divided by was lost in noise in {struck} of "
                        f"{len(floor_adds)} rounds")
    return paired(lambda x, u, f: (x - u) / (f - u), series, untraced, floor)


def counts(counted, truth):
    """Exact only if every round is, to the last call."""
    shares = {}
    for r, (seen, true) in paired(lambda c, t: (c, t), counted, truth).items():
        if true == 0 and seen != 0:
            raise Undefined("calls were counted that were not made")
        shares[r] = seen / true if true else 1.0
    if not shares:
        raise NoSamples("no samples")
    is_exact = all(paired(lambda c, t: c == t, counted, truth).values())
    return Counts(is_exact, statistics.median(shares.values()), min(shares.values()),
                  max(shares.values()), len(shares))


def ranking(series):
    """Of {name: series}: [(name, is_told_apart)], highest median first.

    is_told_apart: the interval of the ratio to the one before, paired, leaves out 1. Never of the
    first, nor where there are too few rounds for an interval.
    """
    order = sorted((name for name in series if series[name]),
                   key=lambda name: (-estimate(series[name]).median, name))
    return [(name, i > 0 and is_told_apart(series[order[i - 1]], series[name]))
            for i, name in enumerate(order)]


def is_told_apart(a, b):
    """Whether the two differ by more than the rounds differ among each other."""
    try:
        between = estimate(ratio(a, b))
    except Undefined:
        return False
    return between.low is not None and not between.low <= 1 <= between.high
