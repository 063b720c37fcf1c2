"""The `.env` of a fresh checkout."""

from __future__ import annotations

import stat

import pytest
from cryptography.fernet import Fernet

from config import dev_env


@pytest.fixture
def checkout(tmp_path):
    (tmp_path / ".git").mkdir()
    return tmp_path


def read(root) -> dict[str, str]:
    lines = (root / ".env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if not line.startswith("#"))


def test_it_holds_fresh_keys_for_its_owner_only(checkout):
    assert dev_env.ensure(checkout)
    values = read(checkout)
    assert values["DEBUG"] == "true"
    assert len(values["SECRET_KEY"]) >= 50
    Fernet(values["TALLYMAN_SECRET_KEYS"])
    assert stat.S_IMODE((checkout / ".env").stat().st_mode) == 0o600


def test_one_that_is_there_stays_as_it_is(checkout):
    (checkout / ".env").write_text("SECRET_KEY=mine\n")
    assert not dev_env.ensure(checkout)
    assert read(checkout) == {"SECRET_KEY": "mine"}


def test_it_is_wanted_in_a_checkout_with_nothing_configured(checkout):
    assert dev_env.wanted(checkout, {"PATH": "/bin"})


@pytest.mark.parametrize("name", dev_env.TELLING_VARIABLES)
def test_it_is_not_wanted_once_something_is_configured(checkout, name):
    assert not dev_env.wanted(checkout, {name: ""})


def test_it_is_not_wanted_beside_another_one_or_in_a_deployment(checkout, tmp_path_factory):
    (checkout / ".env").touch()
    assert not dev_env.wanted(checkout, {})
    assert not dev_env.wanted(tmp_path_factory.mktemp("slug"), {})
