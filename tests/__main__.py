"""Run the suite on each database: `python -m tests [pytest's options and paths]`.

`TALLYMAN_TEST_DATABASES` (default `sqlite,postgres`) names them. A database that this machine does not
have is left out with a word, or is a failure if `TALLYMAN_TEST_REQUIRE` names it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree

from tests.support import databases, requirements

# Three at a time, a file on one of them: most tests wait for processes and engines. `-n0` turns it off.
IN_PARALLEL = ("-n3", "--dist=loadfile")
ROOT = Path(__file__).resolve().parent.parent

OK, FAILED, INTERRUPTED, NO_TESTS = 0, 1, 2, 5  # pytest's exit codes
WORDS = {OK: "passed", FAILED: "FAILED", INTERRUPTED: "interrupted", NO_TESTS: "no tests"}


def main(arguments: list[str]) -> int:
    """Run all passes, one after the other, and sum them up; the first failure's exit code, or 0."""
    outcomes: dict[str, str] = {}
    codes: list[int] = []
    for name in _wanted():
        if reason := databases.unavailable(name):
            promised = name in requirements.required()
            outcomes[name] = f"{'FAILED: required, but' if promised else 'left out:'} {reason}"
            codes.append(FAILED if promised else NO_TESTS)
            continue
        code, failed = _run(name, arguments, again=any(one != NO_TESTS for one in codes))
        outcomes[name] = "\n          ".join(
            [WORDS.get(code, f"FAILED (pytest's exit code {code})"), *failed]
        )
        codes.append(code)
        if code == INTERRUPTED:
            break
    print("\n" + "\n".join(f"{name:9} {outcome}" for name, outcome in outcomes.items()))
    return _sum_up(codes)


def _wanted() -> list[str]:
    names = os.environ.get("TALLYMAN_TEST_DATABASES") or ",".join(databases.NAMES)
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    if unknown := set(wanted) - set(databases.NAMES):
        sys.exit(f"TALLYMAN_TEST_DATABASES: there is no {', '.join(sorted(unknown))}")
    return wanted


def _run(name: str, arguments: list[str], *, again: bool) -> tuple[int, list[str]]:
    """One pass: pytest's exit code, and the tests that failed."""
    print(f"\n== {name}", flush=True)
    environment = {**os.environ, "TALLYMAN_TEST_DB": name, databases.AGAIN: "1" if again else ""}
    with tempfile.TemporaryDirectory(prefix="tallyman-tests-") as folder:
        report = Path(folder, "report.xml")
        command = [sys.executable, "-m", "pytest", *IN_PARALLEL, f"--junitxml={report}", *arguments]
        try:
            return subprocess.call(command, cwd=ROOT, env=environment), _failed(report)
        except KeyboardInterrupt:
            return INTERRUPTED, []


def _failed(report: Path) -> list[str]:
    """The names of what failed, as the report of a pass has them; a pass that never began has none."""
    if not report.exists():
        return []
    cases = ElementTree.parse(report).iter("testcase")
    bad = [case for case in cases if case.find("failure") is not None or case.find("error") is not None]
    return [f"{case.get('classname')}.{case.get('name')}" for case in bad]


def _sum_up(codes: list[int]) -> int:
    """A pass may be empty (all its tests belong to the other database), but not every one of them."""
    failures = [code for code in codes if code not in (OK, NO_TESTS)]
    if failures:
        return failures[0]
    return OK if OK in codes else NO_TESTS


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
