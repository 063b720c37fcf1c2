"""References to secrets that are kept elsewhere: read at launch, refused or tried again, and never told."""

from __future__ import annotations

import os
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.management import call_command

from hosts.errors import ContainerExecutionError, LaunchFailed
from hosts.secret_stores import registry
from hosts.secret_stores.contract import SecretStore
from hosts.secret_stores.resolving import resolve
from tests.support import certificates, vault
from tests.support.vault import Vault

SECRET = "hunter2-planted-secret"
TOKEN = "hvs.root"


def read(reference: str) -> str:
    return resolve({"PASSWORD": reference})["PASSWORD"]


def missing(reference: str) -> str:
    with pytest.raises(ContainerExecutionError) as caught:
        read(reference)
    assert caught.value.failure_class == "secret_missing"
    assert not isinstance(caught.value, LaunchFailed)
    return told(caught.value, reference)


def unavailable(reference: str) -> str:
    with pytest.raises(LaunchFailed) as caught:
        read(reference)
    assert caught.value.failure_class == "secret_store"
    return told(caught.value, reference)


def told(error: ContainerExecutionError, reference: str) -> str:
    """The message, which names variable and reference and holds no value and no token."""
    text = str(error)
    assert "PASSWORD" in text
    assert reference in text
    assert SECRET not in text + repr(error.__cause__)
    assert TOKEN not in text
    return text


# ── which stores there are ────────────────────────────────────────────────────────────────────────────────


class OwnStore(SecretStore):
    """A store of somebody else's, which fails in all ways."""

    def read(self, path: str) -> str:
        if path == "raises":
            raise RuntimeError(f"cannot decode {SECRET}")
        return {"empty": "", "none": None, "nul": "a\x00b", "long": "x" * 70_000}.get(path, SECRET)  # type: ignore[return-value]


@pytest.fixture
def own_store(settings) -> None:
    settings.TALLYMAN_SECRET_STORES = {"own": f"{__name__}.OwnStore"}


def test_a_store_of_the_settings_is_asked(own_store):
    assert read("own:anything") == SECRET


def test_a_store_of_an_installed_package_is_asked(monkeypatch):
    monkeypatch.setattr(registry, "_installed", lambda: {"packaged": f"{__name__}.OwnStore"})
    assert read("packaged:anything") == SECRET


def test_what_a_store_raises_is_told_by_its_kind_only(own_store):
    assert "RuntimeError" in unavailable("own:raises")


@pytest.mark.parametrize("path", ["empty", "none", "nul", "long"])
def test_what_no_container_can_be_given_is_refused(own_store, path):
    missing(f"own:{path}")


def test_what_is_named_twice_is_read_once():
    with vault.serving() as server:
        server.v2["secret/db"] = [{"p": SECRET}]
        with _settings_of(server):
            reference = "vault:secret/db#p"
            assert resolve({"A": reference, "B": reference}) == {"A": SECRET, "B": SECRET}
            assert len(server.asked) == 1


@pytest.mark.parametrize(
    "reference", ["", "nocolon", "env:", "nosuch:x", "vault:secret#x", "vault:secret/db", "file:relative",
                  "file:/a/../etc/shadow", "env:NOT A NAME", "vault:secret/../sys#x", f"env:{'x' * 600}"]
)  # fmt: skip
def test_a_reference_that_cannot_be_one_is_said_to_be_none(reference):
    assert registry.reference_problems(reference)


@pytest.mark.parametrize(
    "reference", ["env:JOB_A", "file:/run/x", "vault:secret/app/db#password", "vault:kv/a?version=3#b c"]
)
def test_a_reference_that_may_be_one_is_not_complained_of(reference):
    assert registry.reference_problems(reference) == []


def test_a_store_that_cannot_be_used_is_a_warning_of_the_system_check(settings, capsys):
    settings.TALLYMAN_SECRET_STORES = {"own": "no.such.Store", "Bad Name": "x.Y"}
    settings.TALLYMAN_VAULT_MOUNTS = {"secret": "3"}
    call_command("check")
    said = capsys.readouterr().err
    assert "no.such.Store" in said
    assert "'Bad Name'" in said
    assert "'3' is no version" in said


# ── the worker's own machine ──────────────────────────────────────────────────────────────────────────────


def test_a_variable_is_read_if_the_setting_names_it(settings, monkeypatch):
    monkeypatch.setenv("JOB_PASSWORD", SECRET)
    settings.TALLYMAN_SECRET_ENV = ["JOB_*"]
    assert read("env:JOB_PASSWORD") == SECRET


def test_without_the_setting_no_variable_is_read(monkeypatch):
    monkeypatch.setenv("JOB_PASSWORD", SECRET)
    assert "TALLYMAN_SECRET_ENV" in missing("env:JOB_PASSWORD")
    assert "TALLYMAN_SECRET_ENV" in missing("env:TALLYMAN_SECRET_KEYS")


def test_a_variable_that_is_not_there_is_missing(settings):
    settings.TALLYMAN_SECRET_ENV = ["JOB_*"]
    assert "no such variable" in missing("env:JOB_NOWHERE")


@pytest.fixture
def folder(settings, tmp_path: Path) -> Path:
    folder = tmp_path / "allowed"
    folder.mkdir()
    settings.TALLYMAN_SECRET_FILE_ROOTS = [str(folder)]
    return folder


def test_a_file_is_read_without_its_last_line_end(folder):
    (folder / "db").write_text(f"{SECRET}\n")
    assert read(f"file:{folder}/db") == SECRET


def test_a_link_inside_the_folder_is_followed(folder):
    (folder / "..2026").mkdir()
    (folder / "..2026/db").write_text(SECRET)
    (folder / "db").symlink_to("..2026/db")
    assert read(f"file:{folder}/db") == SECRET


def test_a_link_out_of_the_folder_is_not_followed(folder, tmp_path):
    (tmp_path / "outside").write_text(SECRET)
    (folder / "db").symlink_to(tmp_path / "outside")
    assert "TALLYMAN_SECRET_FILE_ROOTS" in missing(f"file:{folder}/db")


def test_outside_of_the_folder_it_is_not_said_what_there_is(folder):
    here, nowhere = missing("file:/etc/passwd"), missing("file:/etc/no-such-file")
    assert here.replace("passwd", "") == nowhere.replace("no-such-file", "")


@pytest.mark.parametrize("kind", ["folder", "fifo", "absent", "bytes"])
def test_what_is_no_text_file_is_missing_and_nothing_hangs(folder, kind):
    path = folder / kind
    if kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "bytes":
        path.write_bytes(b"\xff\xfe")
    missing(f"file:{path}")


# ── Vault ─────────────────────────────────────────────────────────────────────────────────────────────────


class _settings_of:
    """The settings for a server, as the environment would give them."""

    def __init__(self, server: Vault, **more: object) -> None:
        from django.test import override_settings

        names = {f"TALLYMAN_VAULT_{name}": value for name, value in more.items()}
        self._override = override_settings(
            **{"TALLYMAN_VAULT_ADDR": server.url, "TALLYMAN_VAULT_TOKEN": TOKEN, **names}
        )

    def __enter__(self) -> None:
        registry._made.cache_clear()  # as in a process of its own
        self._override.enable()

    def __exit__(self, *_exc: object) -> None:
        self._override.disable()
        registry._made.cache_clear()


@pytest.fixture
def server() -> Iterator[Vault]:
    with vault.serving() as made, _settings_of(made):
        made.v2["secret/app/db"] = [{"password": "old"}, {"password": SECRET, "port": 5432, "tls": True}]
        made.v1["old/kv/db"] = {"password": SECRET}
        yield made


REFERENCE = "vault:secret/app/db#password"


def test_the_newest_version_of_a_kv_2_secret_is_read(server):
    assert read(REFERENCE) == SECRET
    assert server.asked == ["GET /v1/secret/data/app/db"]


def test_an_older_version_can_be_asked_for(server):
    assert read("vault:secret/app/db?version=1#password") == "old"


def test_a_kv_1_secret_is_read_below_a_mount_of_several_folders(server, settings):
    settings.TALLYMAN_VAULT_MOUNTS = {"old/kv": "1"}
    assert read("vault:old/kv/db#password") == SECRET
    assert server.asked == ["GET /v1/old/kv/db"]


def test_numbers_and_flags_are_read_as_json_writes_them(server):
    assert (read("vault:secret/app/db#port"), read("vault:secret/app/db#tls")) == ("5432", "true")


def test_a_secret_a_field_or_a_version_that_is_not_there_is_missing(server):
    assert "nothing there" in missing("vault:secret/app/nowhere#password")
    assert "no field 'user'" in missing("vault:secret/app/db#user")
    assert "nothing there" in missing("vault:secret/app/db?version=9#password")


def test_a_version_that_was_deleted_is_missing_and_says_so(server):
    server.v2["secret/app/db"].append(None)
    assert "deleted" in missing(REFERENCE)


def test_a_field_that_is_no_text_is_missing(server):
    server.v2["secret/app/db"].append({"password": {"inner": SECRET}})
    assert "holds no text" in missing(REFERENCE)


def test_only_paths_that_the_setting_names_are_asked_for(server, settings):
    settings.TALLYMAN_VAULT_PATHS = ["secret/jobs"]
    assert "TALLYMAN_VAULT_PATHS" in missing(REFERENCE)
    assert server.asked == []
    settings.TALLYMAN_VAULT_PATHS = ["secret/app/"]
    assert read(REFERENCE) == SECRET


def test_a_namespace_is_told(server, settings):
    server.namespace = "team/a"
    assert "403" in unavailable(REFERENCE)
    settings.TALLYMAN_VAULT_NAMESPACE = "team/a"
    assert read(REFERENCE) == SECRET


def test_a_token_file_is_read_again_each_time(server, settings, tmp_path):
    file = tmp_path / "token"
    settings.TALLYMAN_VAULT_TOKEN, settings.TALLYMAN_VAULT_TOKEN_FILE = "", str(file)
    assert "TALLYMAN_VAULT_TOKEN_FILE" in unavailable(REFERENCE)
    file.write_text("hvs.expired\n")
    assert "403" in unavailable(REFERENCE)
    file.write_text(f"{TOKEN}\n")
    assert read(REFERENCE) == SECRET


def test_without_a_token_or_an_address_the_setting_is_named(server, settings):
    settings.TALLYMAN_VAULT_TOKEN = ""
    assert "TALLYMAN_VAULT_TOKEN" in unavailable(REFERENCE)
    settings.TALLYMAN_VAULT_ADDR = ""
    assert "TALLYMAN_VAULT_ADDR" in unavailable(REFERENCE)


@pytest.fixture
def by_role(server, settings) -> Vault:
    server.roles["role-1"] = "secret-id-1"
    settings.TALLYMAN_VAULT_TOKEN = ""
    settings.TALLYMAN_VAULT_ROLE_ID, settings.TALLYMAN_VAULT_SECRET_ID = "role-1", "secret-id-1"
    return server


def test_a_login_by_approle_serves_many_reads(by_role):
    assert [read(REFERENCE), read(REFERENCE)] == [SECRET, SECRET]
    assert by_role.logins == 1


def test_a_login_that_is_over_is_made_anew(by_role):
    by_role.lease_seconds = 1
    assert [read(REFERENCE), read(REFERENCE)] == [SECRET, SECRET]
    assert by_role.logins == 2


def test_a_login_that_was_revoked_is_made_anew_once(by_role):
    assert read(REFERENCE) == SECRET
    by_role.tokens.clear()
    assert read(REFERENCE) == SECRET
    assert by_role.logins == 2


def test_a_login_that_is_refused_says_so_without_the_secret_id(by_role, settings):
    settings.TALLYMAN_VAULT_SECRET_ID = "wrong-secret-id"
    text = unavailable(REFERENCE)
    assert "invalid role or secret ID" in text
    assert "wrong-secret-id" not in text


@pytest.mark.parametrize(
    ("status", "body", "headers"),
    [
        (500, b'{"errors": ["internal error"]}', {}),
        (429, b"", {}),
        (200, b"<html>a proxy's page</html>", {}),
        (200, b'{"data": []}', {}),
        (200, b'{"data": {"data": "x"}}', {}),
        (200, b"x" * (1024 * 1024 + 1), {}),
        (200, b"[" * 100_000, {}),
        (307, b"", {"Location": "http://127.0.0.1:1/v1/secret/data/app/db"}),
    ],
)
def test_an_answer_that_proves_nothing_is_trouble_of_the_store(server, status, body, headers):
    server.answer = status, body, headers
    unavailable(REFERENCE)


def test_a_sealed_vault_is_trouble_of_the_store(server):
    server.sealed = True
    assert "sealed" in unavailable(REFERENCE)


def test_a_vault_that_is_not_there_is_trouble_of_the_store(server, settings):
    settings.TALLYMAN_VAULT_ADDR = "http://127.0.0.1:1"
    assert "cannot be reached" in unavailable(REFERENCE)


def test_a_vault_that_hangs_is_given_up(server, settings):
    server.hangs = threading.Event()
    settings.TALLYMAN_VAULT_TIMEOUT_SECONDS = 0.2
    began = time.monotonic()
    assert "in time" in unavailable(REFERENCE)
    assert time.monotonic() - began < 5


def test_a_token_never_goes_over_a_network_unencrypted(server, settings):
    settings.TALLYMAN_VAULT_ADDR = "http://vault.example:8200"
    assert "https://" in unavailable(REFERENCE)


def test_a_certificate_is_verified(tmp_path, settings):
    files = certificates.make(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    with vault.serving(context) as made, _settings_of(made):
        made.v2["secret/app/db"] = [{"password": SECRET}]
        assert "certificate was not accepted" in unavailable(REFERENCE)
        assert made.asked == []
        settings.TALLYMAN_VAULT_CACERT = str(files.ca)
        assert read(REFERENCE) == SECRET
        settings.TALLYMAN_VAULT_CACERT = str(tmp_path / "no-such-file")
        unavailable(REFERENCE)


def test_no_proxy_of_the_environment_gets_the_token(server, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    assert read(REFERENCE) == SECRET
