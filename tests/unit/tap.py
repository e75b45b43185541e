# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""Runs the unittest cases of the script that calls main(), and prints TAP for tests/run.sh."""

import unittest


class Result(unittest.TestResult):
    def startTest(self, test):
        super().startTest(test)
        self.problems = []
        self.skip_reason = None

    def stopTest(self, test):
        mark = "not ok" if self.problems else "ok"
        skip = "" if self.skip_reason is None else f" # skip {self.skip_reason}"
        print(f"{mark} {self.testsRun} - {test.id().removeprefix('__main__.')}{skip}")
        for problem in self.problems:
            print("\n".join(f"# {line}" for line in problem.splitlines()))

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.problems.append(self.failures[-1][1])

    def addError(self, test, err):
        super().addError(test, err)
        self.problems.append(self.errors[-1][1])

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.problems.append(f"{subtest}: {err[1]}")

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.skip_reason = reason

    def addUnexpectedSuccess(self, test):
        super().addUnexpectedSuccess(test)
        self.problems.append("passes, and was expected to fail")


class Runner:
    def run(self, suite):
        result = Result()
        result.problems = []  # for errors outside of any test
        suite.run(result)
        print(f"1..{result.testsRun}")
        return result


def main():
    unittest.main(testRunner=Runner())
