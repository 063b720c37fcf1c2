"""Ask pip-audit whether a pinned package has a known weakness: `make check` does.

What it knows comes over the network. Where that cannot be had nothing was audited, and that is said, never
that all is well; AUDIT=required makes it a failure.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
# What is installed somewhere: dev.txt holds base.txt's versions and more.
FILES = ("base.txt", "cloudrun.txt", "dev.txt")
ENOUGH_SECONDS = 120


def main() -> int:
    """0: nothing is known against them, or nobody could be asked; 1: something is."""
    answers = {name: _audit(ROOT / "requirements" / name) for name in FILES}
    lines, code = judged(answers, is_required=os.environ.get("AUDIT", "") == "required")
    print("\n".join(lines))
    return code


def judged(answers: Mapping[str, dict[str, Any] | str], *, is_required: bool) -> tuple[list[str], int]:
    """What to say of the answers by file, a text being why there is none; and the exit code."""
    lines, is_weak, is_unknown = [], False, False
    for name, answer in answers.items():
        weak, unknown = _weaknesses(answer), _unknown(answer)
        is_weak, is_unknown = is_weak or bool(weak), is_unknown or bool(unknown)
        lines += [f"{name}: {line}" for line in weak]
        lines += [f"NOT AUDITED: {name}: {unknown}"] if unknown else []
    return lines or ["nothing is known against any pinned package"], int(
        is_weak or (is_unknown and is_required)
    )


def _audit(file: Path) -> dict[str, Any] | str:
    """What pip-audit says of the file, or in a sentence why it says nothing."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(file), "--require-hashes"]
    options = ["--disable-pip", "--format=json", "--progress-spinner=off", "--timeout=10"]
    try:
        done = subprocess.run(
            [*command, *options], capture_output=True, text=True, timeout=ENOUGH_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return f"no answer within {ENOUGH_SECONDS} s"
    try:
        found: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        lines = done.stderr.strip().splitlines()
        return lines[-1][:300] if lines else "pip-audit said nothing"
    return found


def _unknown(found: dict[str, Any] | str) -> str:
    """Why something was not audited; empty if all was."""
    if isinstance(found, str):
        return found
    skipped = [one["skip_reason"] for one in found["dependencies"] if "skip_reason" in one]
    if not skipped:
        return ""
    return f"{len(skipped)} of {len(found['dependencies'])} packages, {skipped[0]!r} and so on"


def _weaknesses(found: dict[str, Any] | str) -> list[str]:
    if isinstance(found, str):
        return []
    return [
        f"{package['name']} {package.get('version', '')}: {weakness['id']}, mended in "
        f"{', '.join(weakness['fix_versions']) or 'no version yet'}"
        for package in found["dependencies"]
        for weakness in package.get("vulns", [])
    ]


if __name__ == "__main__":
    sys.exit(main())
