"""Typed reads of the environment."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from config.environment import Environment


@pytest.fixture
def env():
    return Environment()


def test_an_empty_value_counts_as_not_set(env, monkeypatch):
    monkeypatch.setenv("LOG_LEVEL", " ")
    assert env.text("LOG_LEVEL", "INFO") == "INFO"
    with pytest.raises(ImproperlyConfigured, match=r"LOG_LEVEL is not set\. Set it\."):
        env.required("LOG_LEVEL", hint="Set it.")


def test_a_secret_may_be_given_as_a_file(env, monkeypatch, tmp_path):
    (tmp_path / "key").write_text("from a file\n")
    monkeypatch.setenv("A_KEY_FILE", str(tmp_path / "key"))
    assert env.text("A_KEY") == "from a file"


def test_a_secret_file_that_is_not_there_is_one_clear_sentence(env, monkeypatch):
    monkeypatch.setenv("ANOTHER_KEY_FILE", "/nowhere/key")
    with pytest.raises(ImproperlyConfigured, match=r"ANOTHER_KEY_FILE cannot be read.*/nowhere/key"):
        env.text("ANOTHER_KEY")


@pytest.mark.parametrize(
    ("word", "meant"), [("true", True), ("1", True), ("ON", True), ("no", False), ("0", False)]
)
def test_a_flag_has_many_spellings(env, monkeypatch, word, meant):
    monkeypatch.setenv("A_FLAG", word)
    assert env.flag("A_FLAG", not meant) is meant


@pytest.mark.parametrize(
    ("read", "value", "message"),
    [
        (lambda env: env.flag("A_VALUE", False), "ture", "must be true or false, not 'ture'"),
        (
            lambda env: env.number("A_VALUE", 1.0, minimum=0.5),
            "0.1",
            "must be a number from 0.5 up, not '0.1'",
        ),
        (lambda env: env.number("A_VALUE", 1.0), "soon", "must be a number from 0 up, not 'soon'"),
        (lambda env: env.number("A_VALUE", 1.0), "inf", "must be a number from 0 up, not 'inf'"),
        (lambda env: env.port("A_VALUE", 0), "65536", "must be a port, so at most 65535, not 65536"),
        (lambda env: env.whole("A_VALUE", 1), "1.5", "must be a whole number, not 1.5"),
        (lambda env: env.choice("A_VALUE", "x", among=("x", "y")), "z", "must be one of x, y, not 'z'"),
    ],
)
def test_a_wrong_value_is_refused_with_its_name(env, monkeypatch, read, value, message):
    monkeypatch.setenv("A_VALUE", value)
    with pytest.raises(ImproperlyConfigured, match=f"A_VALUE {message}"):
        read(env)


def test_a_list_is_separated_by_commas(env, monkeypatch):
    monkeypatch.setenv("SOME_HOSTS", "a.example, b.example,")
    assert env.words("SOME_HOSTS") == ["a.example", "b.example"]
    assert env.words("NO_HOSTS", ("localhost",)) == ["localhost"]


def test_every_variable_is_in_the_example_file():
    root = Path(__file__).resolve().parents[2]
    readers = (*(root / "config").glob("*.py"), root / "gunicorn.conf.py")
    read = {name for file in readers for name in re.findall(r'\benv\.\w+\(\s*"([A-Z_]+)"', file.read_text())}
    shown = set(re.findall(r"^([A-Z_]+)=", (root / ".env.example").read_text(), re.MULTILINE))
    assert "DATABASE_URL" in read
    assert read - {"TALLYMAN_ANNOUNCE"} == shown
