"""`make bench`, or `python -m bench [part ...]`: measure, compare with the targets, keep the numbers."""

from __future__ import annotations

import argparse
import importlib
import subprocess
import sys
import time

from bench import ground, machine
from bench.rounds import say

PARTS = {
    "launches": "(a) jobs a second on an engine, beside the bare Docker API",
    "logs": "(b) one chatty container into the database, beside a bare read",
    "crowd": "(c) Python's CPU for 20 chatty containers",
    "recovery": "(d) how soon a killed worker, and a killed everything, is replaced",
    "claims": "(e) claim and finish, beside procrastinate",
    "idle": "(f) memory, connections and CPU of idle workers at 50 hosts",
    "latency": "(g) from handing in a job to the engine's being asked for its container",
    "web_jobs": "(w1) the list of jobs, at 1,000 and at 1,000,000 of them",
    "web_logs": "(w2) the viewer of a log of 1,000,000 lines, in a browser",
    "web_probes": "(w3) probes and metrics at 1,000,000 jobs",
}


def main(arguments: list[str]) -> int:
    """Measure the parts asked for; 0 if every target was met."""
    listed = "\n".join(f"  {name:10}{what}" for name, what in PARTS.items())
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        epilog=f"parts (default: all):\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("parts", nargs="*", metavar="part")
    parser.add_argument("--no-record", action="store_true", help="leave bench/README.md as it is")
    options = parser.parse_args(arguments)
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"there is no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    names = options.parts or list(PARTS)
    if len(names) == 1:
        return _measure(names[0], record=not options.no_record)
    # Each in a process of its own: Django is set up once in a process, on the server of one part.
    flags = ["--no-record"] if options.no_record else []
    return max(subprocess.call([sys.executable, "-m", "bench", name, *flags]) for name in names)


def _measure(name: str, *, record: bool) -> int:
    began = time.monotonic()
    say(f"\n== {PARTS[name]}")
    with ground.prepared() as server:
        result = importlib.import_module(f"bench.{name}").measure(server)
        conditions = machine.conditions(server)
    say(f"  took {time.monotonic() - began:.0f} s")
    print(f"\n{result.markdown()}\n\n{conditions}\n", flush=True)
    if record:
        machine.record(result, conditions)
    return 0 if all(verdict.met for verdict in result.verdicts) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
