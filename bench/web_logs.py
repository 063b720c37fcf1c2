"""(w2) The viewer of a log of 1,000,000 lines: how soon it opens, what the browser takes, searches."""

from __future__ import annotations

import os
import statistics
import time
from typing import Any

import psutil

from bench.rounds import Result, Series, say
from hosts.executors import frames
from tests.support.postgres import PostgresServer

LINES = 1_000_000
LINE_BYTES = 140
CHUNK_LINES = 1_460  # 256 KiB of frames
OPENINGS = 5
JUMPS = 30
OPEN_SECONDS = 1.0
BROWSER_MEGABYTES = 200
_BATCH = 100
_START = 1_777_636_800_000_000_000


def measure(server: PostgresServer) -> Result:
    """Open it several times, jump through it, search it; the browser's memory after all that."""
    os.environ |= {"DEBUG": "true", "ALLOWED_HOSTS": "127.0.0.1,localhost"}  # static files need no collecting
    from tests.browser import screens
    from tests.support.web import running_web

    address = _stored_log()
    cookie = screens.session_for(_person())
    with running_web(server.url("tallyman")) as web, screens.browser() as browser:
        base = f"http://127.0.0.1:{web.port}"
        context = browser.new_context(viewport=screens.DESKTOP)
        context.add_cookies([{"name": "sessionid", "value": cookie, "url": base}])
        page = context.new_page()
        opened = Series([_open(page, base + address) for _ in range(OPENINGS + 1)][1:])
        jumps = Series([_jump(page, LINES * (number * 7 % JUMPS) // JUMPS) for number in range(JUMPS)])
        rows = page.locator(".log-row").count()
        memory = _memory(page)
        searches = {text: _search(page, text) for text in ("line 777777 ", "line [0-9]*7777 ")}
        after = _memory(page)
    result = Result("w2", f"A log of {LINES:,} lines", ["", ""])
    result.rows = [
        ["until its end is on the screen, s", str(opened)],
        ["until a line anywhere in it is, s", str(jumps)],
        ["of that, 95 of 100 within, s", f"{statistics.quantiles(jumps.values, n=20)[-1]:.2f}"],
        ["rows in the page", str(rows)],
        ["JavaScript heap, MB", f"{memory['heap']:.1f}"],
        ["the tab's process (PSS), MB", f"{memory['process']:.0f}"],
        ["the same after the searches, MB", f"{after['process']:.0f}"],
        *([f"search {text!r} through all of it, s", f"{seconds:.1f}"] for text, seconds in searches.items()),
    ]
    result.at_most("seconds until it is open", opened.median, OPEN_SECONDS)
    result.at_most("MB of the tab's process", max(memory["process"], after["process"]), BROWSER_MEGABYTES)
    result.notes.append(
        f"{LINES:,} lines of {LINE_BYTES} bytes in chunks of 256 KiB; gunicorn with one worker, Chromium "
        f"without a window. Opened {OPENINGS} times, after once to warm up; then {JUMPS} jumps through it."
    )
    return result


def _stored_log() -> str:
    """Make the job; the address of its log."""
    from django.urls import reverse

    from jobs.models import Attempt, LogChunk
    from tests.jobs.attempts import make_attempt

    attempt = make_attempt(state="ended", outcome="succeeded", logs_complete=True)  # type: ignore[arg-type]
    say(f"  storing {LINES:,} lines")
    chunks: list[Any] = []
    for seq, first in enumerate(range(0, LINES, CHUNK_LINES)):
        chunks.append(_chunk(attempt, seq, first, min(LINES, first + CHUNK_LINES)))
        if len(chunks) == _BATCH:
            LogChunk.objects.bulk_create(chunks)
            chunks = []
    LogChunk.objects.bulk_create(chunks)
    counted = {"stdout_lines": LINES, "stdout_bytes": LINES * LINE_BYTES, "next_seq": seq + 1}
    Attempt.objects.filter(pk=attempt.pk).update(**counted)
    return reverse("admin:job_log", args=[attempt.job_id])


def _chunk(attempt: Any, seq: int, first: int, end: int) -> Any:
    from jobs.logs import Piece
    from jobs.models import LogChunk

    data = b"".join(
        frames.pack(frames.STDOUT, frames.stamp(_START + number * 1_000_000), _line(number))
        for number in range(first, end)
    )
    piece = Piece.of(data)
    return LogChunk(
        attempt=attempt,
        seq=seq,
        data=piece.data,
        first_at=piece.tally.first_at,
        last_at=piece.tally.last_at,
        raw_bytes=piece.tally.raw_bytes,
        stdout_bytes_before=first * LINE_BYTES,
        stderr_bytes_before=0,
        stdout_lines_before=first,
        stderr_lines_before=0,
    )


def _line(number: int) -> bytes:
    text = f"2026-05-01 12:00:00 INFO [worker-{number % 16}] line {number} was handled in {number % 977} ms; "
    return text.ljust(LINE_BYTES - 1, "=")[: LINE_BYTES - 1].encode() + b"\n"


def _person() -> Any:
    from django.contrib.auth.models import User

    return User.objects.create_superuser("bench")


def _open(page: Any, url: str) -> float:
    began = time.perf_counter()
    page.goto(url, wait_until="commit")
    page.get_by_text(f"line {LINES - 1} was").wait_for()
    return time.perf_counter() - began


def _jump(page: Any, number: int) -> float:
    began = time.perf_counter()
    page.evaluate("(number) => document.querySelector('[data-log-viewer]').viewer.jump(number)", number)
    page.get_by_text(f"line {number} was").wait_for()
    return time.perf_counter() - began


def _search(page: Any, text: str) -> float:
    pressed = page.locator("[data-log=regex]").get_attribute("aria-pressed") == "true"
    if pressed != ("[" in text):
        page.locator("[data-log=regex]").click()
    began = time.perf_counter()
    page.locator("[data-log=query]").fill(text)
    page.wait_for_function(
        "(text) => { const { search } = document.querySelector('[data-log-viewer]').viewer;"
        " return search.query && search.query.q === text && !search.busy; }",
        arg=text,
        timeout=120_000,
    )
    return time.perf_counter() - began


def _memory(page: Any) -> dict[str, float]:
    """In megabytes: what its scripts hold after a collection, and the process of the tab."""
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    heap = session.send("Runtime.getHeapUsage")["usedSize"]
    mine = psutil.Process().children(recursive=True)
    tabs = [child for child in mine if "--type=renderer" in " ".join(child.cmdline())]
    return {"heap": heap / 1e6, "process": max(tab.memory_full_info().pss for tab in tabs) / 1e6}
