"""The page of a job's log, and what its script asks for: lines, searches, downloads."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Permission, User
from django.db import connection, connections
from django.test import AsyncClient
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from hosts.executors import frames
from jobs.models import Attempt, ContainerJob, LogChunk
from jobs.states import AttemptState, Outcome
from tests.admin_ui.rows import store_log
from tests.jobs.attempts import end, make_attempt
from tests.jobs.chunks import err, out, store, text
from tests.jobs.test_log_cap import capped
from tests.jobs.test_log_cap import store as store_capped
from tests.support.factories import make_job

pytestmark = pytest.mark.django_db

# Engines cut long lines into pieces of this size, in the middle of a character too.
CUT = b"<b>one</b>".ljust(frames.PIECE_BYTES - 1, b"=") + b"\xc3"


@pytest.fixture
def logged() -> ContainerJob:
    attempt = make_attempt(AttemptState.RUNNING)
    store_log(attempt, (1, CUT), (2, b"oops\n"), (1, b"\xa9\xff\n"))
    return attempt.job


def address(job: ContainerJob, what: str = "") -> str:
    return reverse(f"admin:job_log{what and '_' + what}", args=[job.pk])


def lines(client: Any, job: ContainerJob, **query: Any) -> dict[str, Any]:
    answer = client.get(address(job, "lines"), query)
    assert answer.status_code == 200, answer.content
    return answer.json()


def seen(answer: dict[str, Any]) -> list[tuple[int, str]]:
    return [(row[0], row[3]) for row in answer["rows"]]


def part(client: Any, job: ContainerJob, q: str, **query: Any) -> dict[str, Any]:
    return client.get(address(job, "search"), {"q": q, **query}).json()


def find(client: Any, job: ContainerJob, q: str, **query: Any) -> dict[str, Any]:
    """All of it, in as many parts as a busy machine takes."""
    whole = found = part(client, job, q, **query)
    while found.get("next") is not None:
        found = part(client, job, q, **{**query, "from_line": found["next"]})
        whole = {**found, "hits": whole["hits"] + found["hits"]}
    return whole


class TestLines:
    def test_windows_by_number_from_the_end_and_around(self, admin_client):
        attempt = make_attempt(AttemptState.RUNNING)
        store(attempt, *(out(f"{n}\n", n) for n in range(50)))
        job = attempt.job
        last = lines(admin_client, job, count=3)
        assert (seen(last), last["total"]) == ([(47, "47"), (48, "48"), (49, "49")], 50)
        assert seen(lines(admin_client, job, from_line=10, count=2)) == [(10, "10"), (11, "11")]
        assert seen(lines(admin_client, job, before=10, count=2)) == [(8, "8"), (9, "9")]
        assert seen(lines(admin_client, job, around=30, count=3)) == [(29, "29"), (30, "30"), (31, "31")]
        assert seen(lines(admin_client, job, numbers="45,2")) == [(2, "2"), (45, "45")]
        assert seen(lines(admin_client, job, from_line=50)) == []

    def test_bytes_that_are_no_text_returns_pieces_and_ends_of_every_kind(self, admin_client, logged):
        attempt = logged.attempts.get()
        store_log(attempt, (1, b"dos\r\n"), (1, b"10 %\r20 %\n"), (2, b"\x00nul\n"), (1, b"no end"))
        everything = lines(admin_client, logged)
        assert everything["rows"][0][1:2] + everything["rows"][0][3:] == [2, "oops"]
        number, stream, at, shown, size = everything["rows"][1]
        assert (number, stream, size) == (1, 1, len(CUT) + 2)
        assert shown.startswith("<b>one</b>===")
        assert len(shown) == 4096
        assert at == everything["rows"][0][2] > 0
        assert [row[3] for row in everything["rows"][2:]] == ["dos", "10 %\r20 %", "\x00nul", "no end"]
        (whole,) = lines(admin_client, logged, from_line=1, count=1, long=1)["rows"]
        assert whole[3].endswith("=\N{LATIN SMALL LETTER E WITH ACUTE}\N{REPLACEMENT CHARACTER}")
        assert [row[0] for row in lines(admin_client, logged, stream="stderr")["rows"]] == [0, 1]

    def test_the_rest_of_a_line_without_an_end_comes_with_the_last_page_only(self, admin_client):
        attempt = make_attempt(AttemptState.RUNNING)
        store(attempt, out("one\n") + out("two\n") + out(b"p" * frames.PIECE_BYTES))
        assert [row[0] for row in lines(admin_client, attempt.job)["rest"]] == [2]
        assert lines(admin_client, attempt.job, from_line=0, count=1)["rest"] == []

    def test_what_the_cap_left_out_is_said_with_its_place(self, admin_client):
        attempt = capped(cap=100)
        store_capped(attempt, *(out(f"{number:09}\n", number) for number in range(20)))
        answer = lines(admin_client, attempt.job, about=1)
        numbers = [row[0] for row in answer["rows"]]
        first, end_of_gap, size = answer["gap"]
        assert numbers == [*range(first), *range(end_of_gap, 20)]
        assert size == attempt.log_gap_bytes == 10 * (end_of_gap - first)
        assert b"".join(admin_client.get(address(attempt.job, "download"))) == text(attempt)

    def test_events_have_their_places_and_a_page_of_their_own(self, admin_client):
        attempt = make_attempt(AttemptState.RUNNING)
        store(attempt, *(out(f"{n}\n", n) for n in range(10)))
        told = (
            "2026-05-01T11:59:00.000000Z start\n2026-05-01T12:00:04.500000Z oom\n[... 3 events left out ...]"
        )
        end(attempt, Outcome.OOM, docker_log=told)
        answer = lines(admin_client, attempt.job, about=1)
        assert [(row[0], row[2]) for row in answer["events"]] == [
            (0, "start"),
            (5, "oom"),
            (5, "[... 3 events left out ...]"),
        ]
        assert answer["final"] is True
        of_engine = lines(admin_client, attempt.job, stream="docker")
        assert (seen(of_engine)[1], of_engine["total"]) == ((1, "oom"), 3)
        assert find(admin_client, attempt.job, "oom", stream="docker")["hits"] == [1]

    def test_each_attempt_has_its_log(self, admin_client):
        first = make_attempt(AttemptState.RUNNING)
        store_log(first, (1, b"from the first\n"))
        end(first, Outcome.USER, job_status="pending", retry_delay_seconds=0.0)
        job = ContainerJob.objects.get()
        second = make_attempt(AttemptState.RUNNING, job=job)
        store_log(second, (1, b"from the second\n"))
        assert seen(lines(admin_client, job)) == [(0, "from the second")]
        assert seen(lines(admin_client, job, attempt=1)) == [(0, "from the first")]
        for wrong in ({"attempt": "9"}, {"attempt": "x"}, {"stream": "x"}):
            assert admin_client.get(address(job), wrong).status_code == 404
            assert admin_client.get(address(job, "lines"), wrong).status_code == 404

    def test_what_is_no_number_is_refused(self, admin_client, logged):
        for wrong in ({"from_line": "-1"}, {"numbers": "1,x"}, {"count": "many"}, {"before": "9" * 30}):
            assert admin_client.get(address(logged, "lines"), wrong).status_code == 404

    def test_a_log_that_retention_deleted_says_so_and_has_no_download(self, admin_client, logged):
        note = "Deleted by retention, which keeps logs for 3 days."
        Attempt.objects.update(logs_deleted_at=timezone.now(), logs_note=note, stdout_bytes=1 << 30)
        LogChunk.objects.all().delete()
        answer = lines(admin_client, logged, about=1)
        assert (answer["notice"], answer["total"], answer["rows"]) == (note, 0, [])
        assert admin_client.get(address(logged, "download")).status_code == 404

    def test_somebody_who_polls_has_the_log_stored_without_delay(self, admin_client, logged):
        lines(admin_client, logged)
        assert logged.attempts.get().watched_until is None
        lines(admin_client, logged, follow=1)
        until = logged.attempts.get().watched_until
        assert until is not None
        lines(admin_client, logged, follow=1)
        assert logged.attempts.get().watched_until == until  # not written each time

    def test_a_page_costs_as_many_queries_at_the_end_of_a_long_log_as_of_a_short_one(self, admin_client):
        attempt = make_attempt(AttemptState.RUNNING)
        counts = []
        for chunks in (4, 100):
            store(attempt, *(out(f"{n}\n" * 50, n) for n in range(chunks)))
            with CaptureQueriesContext(connection) as queries:
                lines(admin_client, attempt.job, count=200)
            counts.append(len(queries))
        assert counts[1] <= counts[0] + 8  # halving the numbers of more chunks


class TestSearch:
    @pytest.fixture
    def job(self) -> ContainerJob:
        attempt = make_attempt(AttemptState.RUNNING)
        store(
            attempt,
            out("Alpha one\n") + err("\x1b[31mbe\x1b[0mta\n"),
            out("alpha two\n") + out("100 %\rdone\n"),
            out("Stra\N{LATIN SMALL LETTER SHARP S}e 2\n"),
        )
        return attempt.job

    def test_text_expressions_case_and_their_inverse(self, admin_client, job):
        assert find(admin_client, job, "alpha") == {"hits": [0, 2], "next": None, "total": 5}
        assert find(admin_client, job, "alpha", case=1)["hits"] == [2]
        assert find(admin_client, job, "alpha", inverse=1)["hits"] == [1, 3, 4]
        assert find(admin_client, job, r"(one|2)$", regex=1)["hits"] == [0, 4]
        assert find(admin_client, job, "(one|2)$")["hits"] == []
        assert find(admin_client, job, "alpha", from_line=1)["hits"] == [2]
        assert find(admin_client, job, "alpha", stream="stdout")["hits"] == [0, 1]

    def test_what_is_searched_is_what_is_seen(self, admin_client, job):
        assert find(admin_client, job, "beta")["hits"] == [1]
        assert find(admin_client, job, "100 %")["hits"] == []
        assert find(admin_client, job, "STRA\N{LATIN SMALL LETTER SHARP S}E")["hits"] == [4]

    def test_a_big_letter_that_has_a_small_one_of_ascii_is_found(self, admin_client):
        attempt = make_attempt(AttemptState.RUNNING)
        store(attempt, out("4 \N{KELVIN SIGN}\n"), out("other\n" * 30))
        assert find(admin_client, attempt.job, "4 k")["hits"] == [0]
        assert find(admin_client, attempt.job, "OTHER")["hits"] == list(range(1, 31))

    def test_a_hit_across_two_pieces_of_a_line_is_found(self, admin_client):
        attempt = make_attempt(AttemptState.RUNNING)
        store(attempt, out(b"x" * (frames.PIECE_BYTES - 3) + b"nee"), out("dle\n") + out("other\n"))
        assert find(admin_client, attempt.job, "needle")["hits"] == [0]

    def test_a_long_search_is_made_in_parts_that_together_are_the_whole(self, admin_client, monkeypatch):
        monkeypatch.setattr("admin_ui.live_logs.search.MOST_BYTES", 500)
        attempt = make_attempt(AttemptState.RUNNING)
        store(attempt, *(out(f"{n}\n" * 20, n) for n in range(30)))
        hits, first, parts = [], 0, 0
        while first is not None:
            found = part(admin_client, attempt.job, "7", from_line=first)
            hits += found["hits"]
            first, parts = found["next"], parts + 1
        assert hits == [n * 20 + k for n in (7, 17, 27) for k in range(20)]
        assert parts > 3

    def test_a_bad_expression_and_one_that_takes_for_ever_are_refused_in_words(self, admin_client):
        attempt = make_attempt(AttemptState.RUNNING)
        store(attempt, out("a" * 40 + "!\n"))
        assert "no regular expression" in find(admin_client, attempt.job, "(", regex=1)["error"]
        assert "takes too long" in find(admin_client, attempt.job, "^(a|aa)+$", regex=1)["error"]
        assert "characters" in find(admin_client, attempt.job, "")["error"]


class TestDownload:
    def test_it_is_byte_for_byte(self, admin_client, logged):
        response = admin_client.get(address(logged, "download"), {"stream": "stdout"})
        assert b"".join(response) == CUT + b"\xa9\xff\n"
        assert "attachment" in response["Content-Disposition"]
        everything = admin_client.get(address(logged, "download"))
        assert b"".join(everything) == CUT + b"oops\n\xa9\xff\n"

    @pytest.mark.django_db(transaction=True)
    def test_it_streams_under_asgi_too(self, admin_user):
        attempt = make_attempt(AttemptState.RUNNING)
        store_log(attempt, (1, b"one\n"))
        store_log(attempt, (1, b"two\n"))
        place = address(attempt.job, "download")

        async def ask() -> bytes:
            client = AsyncClient()
            await client.aforce_login(admin_user)
            response: Any = await client.get(place)
            assert response.is_async
            pieces = [piece async for piece in response]
            await sync_to_async(connections.close_all)()  # a server does it at the end of the request
            return b"".join(pieces)

        assert asyncio.run(ask()) == b"one\ntwo\n"

    def test_plain_has_no_escapes_and_every_other_byte(self, admin_client):
        attempt = make_attempt(AttemptState.RUNNING)
        store(attempt, out("\x1b[1mbold\x1b["), out("0m\n") + out(b"\xff\xfe\x1b]0;t\x07 raw\r\n"))
        plain = b"".join(admin_client.get(address(attempt.job, "download"), {"form": "plain"}))
        assert plain == b"bold\n0m\n\xff\xfe raw\r\n"  # a short record is a line: the escape ends with it

    def test_filtered_has_the_hits_only(self, admin_client):
        attempt = make_attempt(AttemptState.RUNNING)
        store(attempt, *(out(f"\x1b[3{n % 8}m{n}\x1b[0m\n") for n in range(30)))
        query = {"form": "filtered", "q": "^.$", "regex": 1}
        filtered = b"".join(admin_client.get(address(attempt.job, "download"), query))
        assert filtered == b"".join(b"%d\n" % n for n in range(10))
        query |= {"q": "("}
        assert admin_client.get(address(attempt.job, "download"), query).status_code == 400
        assert admin_client.get(address(attempt.job, "download"), {"form": "x"}).status_code == 404


class TestPage:
    def test_a_job_that_never_started_says_why_and_has_no_log(self, admin_client):
        job = make_job()
        assert "No supervisor is running" in admin_client.get(address(job)).content.decode()
        assert lines(admin_client, job) == {"attempt": None}
        assert admin_client.get(address(job, "download")).status_code == 404

    def test_an_earlier_attempt_leads_to_the_newest(self, admin_client):
        first = make_attempt(AttemptState.RUNNING)
        end(first, Outcome.USER, job_status="pending", retry_delay_seconds=0.0)
        job = ContainerJob.objects.get()
        make_attempt(AttemptState.RUNNING, job=job)
        head = reverse("admin:part_log_head", args=[job.pk])
        assert b"Go to attempt 2" in admin_client.get(head, {"attempt": 1}).content
        assert b"Go to attempt" not in admin_client.get(head, {"attempt": 2}).content

    def test_the_old_address_leads_to_the_new_one(self, admin_client, logged):
        old = reverse("admin:jobs_containerjob_log", args=[logged.pk])
        assert admin_client.get(old, {"attempt": 1}).url == address(logged) + "?attempt=1"
        assert admin_client.get(old, {"raw": 1, "stream": "stderr"}).url.startswith(
            address(logged, "download")
        )

    def test_a_log_is_not_for_everybody(self, client, logged):
        everything = [address(logged, what) for what in ("", "lines", "search", "download")]
        assert {client.get(one).status_code for one in everything} == {302}
        clerk = User.objects.create_user("clerk", is_staff=True)
        client.force_login(clerk)
        assert {client.get(one).status_code for one in everything} == {403}
        clerk.user_permissions.add(Permission.objects.get(codename="view_containerjob"))
        assert client.get(address(logged)).status_code == 200
