"""Log lines: their form, and what is masked in them."""

from __future__ import annotations

import json
import logging
import os
import sys
from pathlib import Path

import pytest
import structlog
from django.test import RequestFactory

from config.logging import (
    CurrentStream,
    LeaveOutAnsweredProbes,
    LeaveOutGoodProbes,
    build,
    line_formatter,
)
from hosts import log_fields
from hosts.masking import MASK, mask


@pytest.fixture
def logger():
    """A logger of its own with one handler that writes JSON to the current stdout."""
    handler = CurrentStream("stdout")
    handler.setFormatter(line_formatter("json"))
    logger = logging.getLogger("tests.config.logging")
    logger.addHandler(handler)
    logger.propagate = False
    yield logger
    logger.removeHandler(handler)


def test_an_event_is_one_line_of_json_with_its_fields(logger, capsys):
    logger.warning("attempt %s", "failed\nbadly", extra={"job_id": 7, "exit_code": 137})
    [line] = capsys.readouterr().out.splitlines()
    event = json.loads(line)
    assert event.pop("timestamp").endswith("Z")
    assert isinstance(event.pop("pid"), int)
    assert event == {
        "event": "attempt failed\nbadly",
        "level": "warning",
        "logger": "tests.config.logging",
        "job_id": 7,
        "exit_code": 137,
    }


def test_a_traceback_stays_on_its_line_and_is_masked(logger, capsys):
    try:
        raise ConnectionError("no answer from postgres://me:hunter2@db/tally")
    except ConnectionError:
        logger.exception("database away")
    [line] = capsys.readouterr().out.splitlines()
    assert "ConnectionError: no answer from postgres://•••@db/tally" in json.loads(line)["exception"]
    assert "hunter2" not in line


@pytest.mark.parametrize(
    "name",
    ["password", "DB_PASSWORD", "client_secret", "token", "Authorization", "api_key", "X-Api-Key", "pass"],
)
def test_values_under_telling_names_are_masked_at_any_depth(name):
    assert mask({name: "hunter2"}) == {name: MASK}
    assert mask({"config": [{name: {"is": "hunter2"}}]}) == {"config": [{name: MASK}]}


@pytest.mark.parametrize("fields", [{"passed": 3}, {"has_token": True}, {"secret": None}, {"path": "a/b"}])
def test_harmless_fields_stay(fields):
    assert mask(fields) == fields


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("redis://:hunter2@cache:6379/0", "redis://•••@cache:6379/0"),
        ("https://me:hunter2@x.example/a and b", "https://•••@x.example/a and b"),
        ("GET /jobs?token=hunter2&page=2", "GET /jobs?token=•••&page=2"),
        ("run with DB_PASSWORD='hunter2'", "run with DB_PASSWORD=•••"),
        ("https://x.example:8000/a@b", "https://x.example:8000/a@b"),
        ("if token == other", "if token == other"),
    ],
)
def test_credentials_inside_text_are_masked(text, masked):
    assert mask(text) == masked


def test_what_cannot_be_json_is_masked_as_text():
    assert mask(ConnectionError("redis://:hunter2@cache")) == "ConnectionError('redis://•••@cache')"
    assert mask(Path("/a")) == "/a"


def test_every_line_says_which_process_wrote_it(logger, capsys):
    log_fields.begin(role="worker", host="a", worker="worker@x:7")
    try:
        structlog.get_logger("tests.config.logging").warning("attempt ended", host="b")
        logging.getLogger("tests.config.logging").warning("a library speaks")
    finally:
        log_fields.begin()
    ours, theirs = map(json.loads, capsys.readouterr().out.splitlines())
    assert (ours["role"], ours["worker"], ours["host"]) == ("worker", "worker@x:7", "b")
    assert (theirs["role"], theirs["host"], theirs["pid"]) == ("worker", "a", os.getpid())


def test_only_good_probes_are_left_out():
    def access(path: str, status: str) -> bool:
        record = logging.makeLogRecord({"args": {"U": path, "s": status}})
        return LeaveOutGoodProbes().filter(record)

    assert not access("/health/ready", "200")
    assert access("/health/ready", "503")
    assert access("/admin/", "200")


def test_a_probe_that_answers_503_is_no_error():
    def error(path: str, status: int) -> bool:
        request = RequestFactory().get(path)
        record = logging.makeLogRecord({"request": request, "status_code": status})
        return LeaveOutAnsweredProbes().filter(record)

    assert not error("/health/", 503)
    assert error("/health/", 500)
    assert error("/admin/", 503)


def test_logs_go_where_stdout_is_at_that_moment(capsys):
    assert CurrentStream("stdout").stream is sys.stdout
    assert CurrentStream("stderr").stream is sys.stderr


def test_every_logger_writes_through_the_root():
    settings = build(level="INFO", form="json", stream="stdout")
    assert all(not one["handlers"] and one["propagate"] for one in settings["loggers"].values())


def test_our_own_events_and_a_librarys_lines_have_the_same_form(logger, capsys):
    structlog.get_logger("tests.config.logging").warning("attempt ended", attempt=7, token="hunter2")
    [line] = capsys.readouterr().out.splitlines()
    event = json.loads(line)
    assert (event["event"], event["attempt"], event["token"]) == ("attempt ended", 7, MASK)
    assert {"timestamp", "pid", "level", "logger"} <= event.keys()


def test_what_is_below_the_level_is_not_said_and_what_is_not_is(logger, capsys):
    ours = structlog.get_logger(logger.name).bind(host="a")
    logger.setLevel(logging.INFO)
    ours.debug("too small")
    ours.info("said %s", "so", attempt=1)
    logger.setLevel(logging.WARNING)
    ours.info("too small by now")
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["event"], line["host"], line["attempt"]) for line in lines] == [("said so", "a", 1)]


def test_a_capture_has_events_of_every_level(logger):
    logger.setLevel(logging.ERROR)
    with structlog.testing.capture_logs() as events:
        structlog.get_logger(logger.name).debug("small")
    assert [event["event"] for event in events] == ["small"]
