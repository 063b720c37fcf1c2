"""manage_docker_host: what it changes, says and exits with."""

from __future__ import annotations

import io

import pytest

from hosts.errors import DockerConnectionError
from hosts.executors.contract import EngineFacts
from hosts.executors.docker import DockerExecutor
from hosts.models import Availability, DockerHost, HostState
from jobs.models import Attempt
from jobs.states import AttemptState, Outcome
from tests.admin_ui.commands import hosts
from tests.jobs.attempts import end, make_attempt, take
from tests.support.factories import make_host, make_job, make_template

pytestmark = pytest.mark.django_db

URL = "unix:///run/engine.sock"


# --- add ---


def test_add_registers_a_host_with_everything_given():
    result = hosts(
        *("add", "a", "--url", "tcp://engine.example:2376", "--weight", "7", "--max-jobs", "3"),
        *("--config", '{"tls_verify": true, "timeout": 5}'),
    )
    host = DockerHost.objects.get()
    assert result.code == 0
    assert (host.name, host.base_url) == ("a", "tcp://engine.example:2376")
    assert (host.weight, host.max_concurrent_jobs) == (7, 3)
    assert host.executor_config == {"tls_verify": True, "timeout": 5}


def test_a_process_host_needs_no_url():
    assert hosts("add", "here", "--executor", "process").code == 0
    assert DockerHost.objects.get().executor_type == "process"


def test_adding_the_same_again_is_fine_and_something_else_is_not():
    hosts("add", "a", "--url", URL)
    again = hosts("add", "a", "--url", URL)
    assert (again.code, "already" in again.text) == (0, True)
    other = hosts("add", "a", "--url", "unix:///run/other.sock", "--weight", "5")
    assert other.code == 1
    assert "connection string, weight" in other.stderr
    assert DockerHost.objects.get().base_url == URL


def test_a_removed_host_can_be_added_again():
    host = make_host("a", connection_string=URL)
    end(make_attempt(host=host), Outcome.SUCCEEDED)
    assert hosts("remove", "a").code == 0
    assert hosts("test", "a").code == 4
    assert hosts("add", "a", "--url", URL).code == 0
    host.refresh_from_db()
    assert (host.is_active, host.archived_at) == (True, None)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("add", "a", "--policy", '{"images": "busybox"}'), 2, "images"),
        (("add", "a", "--url", "ftp://x"), 2, "must start with unix://"),
        (("add", "bad name", "--url", URL), 2, "name: Use letters"),
        (("add", "a", "--url", URL, "--weight", "5000"), 2, "weight:"),
        (("add", "a", "--url", URL, "--config", "{"), 2, "no JSON"),
        (("add", "a", "--url", URL, "--config", "[]"), 2, "JSON object"),
        (("add", "a", "--url", URL, "--config", '{"base_url": "tcp://x:1"}'), 2, "connection_string"),
        (("add", "a", "--url", URL, "--executor", "magic"), 2, "invalid choice"),
        (("test", "a"), 4, "There are no hosts yet."),
        (("cordon", "a"), 4, "There is no host 'a'."),
        (("declare-lost", "a", "--yes-i-mean", "a"), 4, "There is no host"),
        ((), 2, "SUBCOMMAND"),
    ],
)
def test_what_is_wrong_is_one_line_with_the_right_exit_code(arguments, code, words):
    result = hosts(*arguments)
    assert result.code == code
    assert words in result.stderr
    assert "Traceback" not in result.stderr
    assert not DockerHost.objects.exists()


# --- list and test ---


def test_list_shows_each_host_and_how_busy_it_is(django_assert_num_queries):
    host = make_host("a", connection_string=URL, state=HostState.ONLINE, engine_cpus=4)
    make_host("b", is_active=False)
    make_host("gone", archived_at="2025-01-01T00:00:00Z")
    make_attempt(AttemptState.RUNNING, host=host)
    end(make_attempt(host=host, job=make_job()))
    with django_assert_num_queries(1):
        rows = hosts("list", "--json").json
    assert [row["name"] for row in rows] == ["a", "b"]
    assert (rows[0]["running_jobs"], rows[0]["state"], rows[0]["url"]) == (1, "online", URL)
    assert "1/10" in hosts("list").text
    assert "off" in hosts("list").text


def test_test_tells_what_the_engine_is(monkeypatch):
    make_host("a")
    facts = EngineFacts(engine_id="e", version="27.1", cpus=8, memory_bytes=2**34)
    monkeypatch.setattr(DockerExecutor, "check", lambda _self: facts)
    result = hosts("test", "a")
    assert (result.code, result.text) == (0, "a answers: Docker, version 27.1, 8 CPUs, 16.0 GiB memory.\n")


def test_another_engine_at_the_address_is_a_failure(monkeypatch):
    make_host("a", engine_id="old")
    monkeypatch.setattr(DockerExecutor, "check", lambda _self: EngineFacts(engine_id="new", version="1"))
    result = hosts("test", "a")
    assert result.code == 1
    assert "another engine (new)" in result.stderr


def test_an_engine_that_does_not_answer_is_one_line(monkeypatch):
    def refuse(_self):
        raise DockerConnectionError("connection refused")

    make_host("a")
    monkeypatch.setattr(DockerExecutor, "check", refuse)
    result = hosts("test", "a")
    assert (result.code, result.stderr) == (1, "CommandError: a does not answer: connection refused\n")


# --- cordon, drain, activate, remove ---


@pytest.mark.parametrize(
    ("verb", "availability"), [("cordon", Availability.CORDONED), ("drain", Availability.DRAINING)]
)
def test_what_is_wanted_of_a_host_is_written_down(verb, availability):
    host = make_host("a")
    assert hosts(verb, "a").code == 0
    host.refresh_from_db()
    assert host.availability == availability


def test_activate_switches_a_host_on_again():
    host = make_host("a", is_active=False, availability=Availability.DRAINING)
    assert hosts("activate", "a").code == 0
    host.refresh_from_db()
    assert (host.is_active, host.availability) == (True, Availability.ACTIVE)


def test_remove_deletes_archives_or_refuses():
    make_host("never-used")
    used, busy, wanted = make_host("used"), make_host("busy"), make_host("wanted")
    end(make_attempt(host=used))
    make_attempt(host=busy, job=make_job())
    make_job(host=wanted)

    assert "deleted" in hosts("remove", "never-used").text
    assert hosts("remove", "used").code == 0
    refused = hosts("remove", "busy")
    assert (refused.code, "1 open job" in refused.stderr) == (1, True)
    assert hosts("remove", "wanted").code == 1
    used.refresh_from_db()
    assert used.archived_at
    assert not used.is_active
    assert set(DockerHost.objects.filter(archived_at=None).values_list("name", flat=True)) == {
        "busy",
        "wanted",
    }


# --- registry-login, registry-logout ---


def give(monkeypatch, password: str):
    monkeypatch.setattr("sys.stdin", io.StringIO(password))


def test_a_registry_login_is_set_from_stdin_and_only_its_user_is_shown(monkeypatch):
    host = make_host("a")
    give(monkeypatch, "very-secret\n")
    arguments = ("registry-login", "a", "https://R.example:5000/v2/", "--username", "ann")
    result = hosts(*arguments, "--password-stdin")
    assert (result.code, "very-secret" in result.text + result.stderr) == (0, False)
    host.refresh_from_db()
    assert host.secret_config == {
        "registries": {"r.example:5000": {"username": "ann", "password": "very-secret"}}
    }
    (record,) = hosts("list", "--json").json
    assert record["registries"] == {"r.example:5000": "ann"}
    assert "very-secret" not in hosts("list", "--json").text
    assert hosts("registry-logout", "a", "r.example:5000").code == 0
    again = hosts("registry-logout", "a", "r.example:5000")
    assert (again.code, "It has: none" in again.stderr) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("a", "r.example", "--username", "u", "--password-stdin"), 2, "password is empty"),
        (("a", "r.example", "--username", "u"), 2, "Give --password-stdin"),
        (("a", "library", "--username", "u", "--password-stdin"), 2, "is no registry"),
        (("a", "r.example", "--password-stdin"), 2, "--username"),
        (("b", "r.example", "--username", "u", "--password-stdin"), 4, "no host 'b'"),
    ],
)
def test_a_registry_login_that_lacks_something_changes_nothing(monkeypatch, arguments, code, words):
    host = make_host("a")
    give(monkeypatch, "\n")
    result = hosts("registry-login", *arguments)
    assert (result.code, words in result.stderr) == (code, True)
    host.refresh_from_db()
    assert host.secret_config == {}


# --- declare-lost ---


def test_declare_lost_wants_the_name_typed(monkeypatch):
    attempt = make_attempt(AttemptState.RUNNING, host=make_host("a"))
    monkeypatch.setattr("sys.stdin", io.StringIO("no\n"))
    assert hosts("declare-lost", "a").code == 2
    assert hosts("declare-lost", "a").code == 2  # nobody is there any more
    assert hosts("declare-lost", "a", "--yes-i-mean", "b").code == 2
    attempt.refresh_from_db()
    assert attempt.state == "running"
    monkeypatch.setattr("sys.stdin", io.StringIO("a\n"))
    result = hosts("declare-lost", "a")
    assert result.code == 0
    assert "1 open job(s)" in result.text
    assert Attempt.objects.get().outcome == Outcome.LOST


def test_a_host_that_answers_its_worker_is_not_lost():
    host = make_host("a", state=HostState.ONLINE)
    take(host)
    result = hosts("declare-lost", "a", "--yes-i-mean", "a")
    assert result.code == 1
    assert "a worker holds it" in result.stderr


def test_a_host_that_drops_what_templates_want_kept_is_warned_of():
    make_template("kept-long", max_log_bytes=2**30)
    make_template("kept-short", max_log_bytes=2**20)
    result = hosts("add", "a", "--url", URL, "--config", '{"log_max_size": "500m"}')
    assert result.code == 0
    assert "at 524288000 bytes (log_max_size), less than max_log_bytes of kept-long:" in result.stderr
    assert "log_max_size" not in hosts("add", "b", "--url", "tcp://b:2375").stderr
    refused = hosts("add", "c", "--url", "tcp://c:2375", "--config", '{"log_max_size": "much"}')
    assert "log_max_size 'much' is no size" in refused.stderr


def test_list_tells_of_containers_without_a_row():
    one = {"id": "c1", "name": "left", "state": "running", "since": "2026-05-01T12:00:00+00:00"}
    make_host("a", orphans=[one])
    assert "a: left (running) has no row since 2026-05-01T12:00:00+00:00." in hosts("list").stderr
    assert hosts("list", "--json").json[0]["orphans"] == [one]


# --- drain with a deadline ---


def test_a_host_can_be_drained_until_a_deadline_and_it_is_shown():
    host = make_host("a")
    assert (
        "stops those that still run in 10 min"
        in hosts("drain", "a", "--deadline", "600", "--then", "stop").text
    )
    host.refresh_from_db()
    assert (host.availability, host.drain_then) == (Availability.DRAINING, "stop")
    record = hosts("list", "--json").json[0]
    assert (record["drain_then"], record["drain_deadline_at"] is not None) == ("stop", True)
    assert ", then stop" in hosts("list").text
    hosts("cordon", "a")
    host.refresh_from_db()
    assert (host.drain_deadline_at, host.drain_then) == (None, "wait")
    assert hosts("drain", "a", "--deadline", "0").code == 2


# --- policy ---


def test_a_policy_is_given_with_a_host_shown_and_replaced():
    hosts("add", "a", "--url", URL, "--policy", '{"paths": ["/srv"]}')
    assert hosts("policy", "a").json == {"paths": ["/srv"]}

    result = hosts("policy", "a", "--set", '{"images": ["busybox"], "host_network": true}')

    assert (result.code, "new policy" in result.stderr) == (0, True)
    assert DockerHost.objects.get().policy == {"images": ["busybox"], "host_network": True}
    assert hosts("list", "--json").json[0]["policy"] == DockerHost.objects.get().policy


@pytest.mark.parametrize("verb", [("add", "b", "--url", URL, "--policy"), ("policy", "a", "--set")])
def test_a_policy_that_cannot_be_read_changes_nothing(verb):
    make_host("a", policy={"paths": ["/srv"]})

    result = hosts(*verb, '{"privileged": "yes"}')

    assert result.code != 0
    assert "privileged must be true or false" in result.stderr
    assert DockerHost.objects.get().policy == {"paths": ["/srv"]}
