"""Where an engine listens, and what is wrong with settings that say so. Calls no engine."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, urlsplit

from hosts import registries
from hosts.errors import ConfigurationError
from hosts.executors.docker import contexts, key_files, ssh
from hosts.executors.docker.spec import size_in_bytes

DEFAULT_TIMEOUT_SECONDS = 30.0
LONGEST_SOCKET_PATH = 107  # bytes: sun_path of unix(7), less its final NUL

_SSH_KEYS = ("ssh_identity_file", "ssh_known_hosts")
_TEXT_KEYS = ("base_url", "tls_ca_cert", "tls_client_cert", "tls_client_key", *_SSH_KEYS, "log_max_size")
_FLAG_KEYS = ("tls_verify", "init")
_TLS_FILE_KEYS = ("tls_ca_cert", "tls_client_cert", "tls_client_key")
_FILE_KEYS = (*_TLS_FILE_KEYS, *_SSH_KEYS)
SECONDS = {
    "timeout": DEFAULT_TIMEOUT_SECONDS,
    "pull_connect_timeout": 60.0,
    "pull_idle_timeout": 180.0,
    "pull_total_timeout": 3600.0,
}
LONGEST_SECONDS = 604_800
# The key itself, kept encrypted, where no supervisor's machine has it as a file.
KEY_TEXT = "tls_client_key_pem"
_KNOWN_KEYS = {*_TEXT_KEYS, *_FLAG_KEYS, *SECONDS, registries.KEY, KEY_TEXT}
_NETWORK_SCHEMES = ("tcp", "http", "https")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """How to trust the engine, and how it shall trust us.

    Without `ca_cert`, public authorities are trusted; without `client_cert`, we show none. `client_key` may
    be the key itself.
    """

    verify: bool
    ca_cert: str
    client_cert: str
    client_key: str = field(repr=False)

    @property
    def client_key_file(self) -> str:
        """The path of our key."""
        is_text = self.client_key.startswith(key_files.BEGIN)
        return key_files.path_of(self.client_key) if is_text else self.client_key


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One engine's address: a socket's path, a network host and port, or a machine to log in to."""

    name: str
    socket_path: str = ""
    host: str = ""
    port: int = 0
    prefix: str = ""
    tls: Tls | None = None
    ssh: ssh.Ssh | None = None
    timeout: float = DEFAULT_TIMEOUT_SECONDS

    @property
    def url(self) -> str:
        """The address in the form that the docker library takes."""
        return f"unix://{self.socket_path}" if self.socket_path else f"tcp://{self.authority}{self.prefix}"

    @property
    def authority(self) -> str:
        """What goes into a Host header; sockets have no name of their own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}" if host else "docker"


def endpoint_from(name: str, base_url: str, config: Mapping[str, Any]) -> Endpoint:
    """The endpoint of the host `name`; ConfigurationError with the first thing that is wrong."""
    if contexts.is_meant(base_url):
        base_url, config = _looked_up(name, base_url, config)
    for problem in _fatal_problems(base_url, config):
        raise ConfigurationError(f"Host {name!r}: {problem}")
    url = urlsplit(base_url)
    timeout = seconds(config, "timeout")
    if url.scheme == "unix":
        return Endpoint(name=name, socket_path=_socket_path(url), timeout=timeout)
    if url.scheme == "ssh":
        identity_file, known_hosts = (config.get(key, "") for key in _SSH_KEYS)
        login = ssh.Ssh.of(url, identity_file=identity_file, known_hosts=known_hosts)
        return Endpoint(name=name, ssh=login, timeout=timeout)
    return Endpoint(
        name=name,
        host=url.hostname or "",
        port=url.port or 0,
        prefix=url.path.rstrip("/"),
        tls=_tls(url, config),
        timeout=timeout,
    )


def _looked_up(name: str, base_url: str, config: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The address that Docker's own configuration says, with the settings that belong to it."""
    for problem in _fatal_problems(base_url, config):
        raise ConfigurationError(f"Host {name!r}: {problem}")
    try:
        found = contexts.locate(base_url)
    except ConfigurationError as exc:
        raise ConfigurationError(f"Host {name!r}: {exc}") from exc
    wanted = {**config, **found.config, "base_url": found.url}
    for problem in _fatal_problems(found.url, wanted):
        raise ConfigurationError(f"Host {name!r}, by {found.source}: {problem}")
    return found.url, wanted


def problems(base_url: str, config: Mapping[str, Any]) -> list[str]:
    """A sentence for each thing that is wrong, most basic first; empty when nothing is."""
    return [*_fatal_problems(base_url, config), *_unknown_keys(config)]


def seconds(config: Mapping[str, Any], key: str) -> float:
    """A timeout of a host, or the usual one."""
    return float(config.get(key, SECONDS[key]))


def _fatal_problems(base_url: str, config: Mapping[str, Any]) -> list[str]:
    wrong_types = list(_type_problems(config))
    if wrong_types:
        return wrong_types
    try:
        url = urlsplit(base_url)
    except ValueError:
        return [f"The address {base_url!r} cannot be read."]
    return [*_address_problems(base_url, url, config), *_tls_problems(url.scheme, config)]


def _type_problems(config: Mapping[str, Any]) -> Iterator[str]:
    for key in _TEXT_KEYS:
        if not isinstance(config.get(key, ""), str):
            yield f"{key} must be text."
    for key in _FLAG_KEYS:
        if not isinstance(config.get(key, False), bool):
            yield f"{key} must be true or false."
    size = config.get("log_max_size") or "2g"
    if isinstance(size, str) and not size_in_bytes(size):
        yield f"log_max_size {size!r} is no size; write it as in 500m or 2g."
    yield from _seconds_problems(config)
    yield from registries.problems(config)


def _seconds_problems(config: Mapping[str, Any]) -> Iterator[str]:
    for key, usual in SECONDS.items():
        value = config.get(key, usual)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= LONGEST_SECONDS:
            yield f"{key} must be a number of seconds above 0, {LONGEST_SECONDS} at most."
            return
    longest = seconds(config, "pull_total_timeout")
    for key in ("pull_connect_timeout", "pull_idle_timeout"):
        if key in config and seconds(config, key) > longest:
            yield f"{key} must not be above pull_total_timeout, which is {longest:g} s."


def _address_problems(base_url: str, url: SplitResult, config: Mapping[str, Any]) -> Iterator[str]:
    if config.get("base_url", base_url) != base_url:
        yield "base_url and the connection string differ; give one of them, or the same in both."
    if url.scheme == "ssh":
        yield from ssh.problems(url)
    elif url.scheme == "unix":
        yield from _socket_problems(url)
    elif url.scheme in _NETWORK_SCHEMES:
        yield from _network_problems(url)
    elif not contexts.is_meant(base_url):
        yield (
            f"The address {base_url!r} must start with unix://, tcp://, http://, https://, ssh:// or "
            "context://, or be empty for what Docker's own configuration says."
        )
    elif base_url == contexts.SCHEME:
        yield "context:// needs a name, as in context://default."


def _socket_problems(url: SplitResult) -> Iterator[str]:
    path = _socket_path(url)
    if path == "/":
        yield "unix:// needs the path of a socket, as in unix:///var/run/docker.sock."
    elif len(os.fsencode(path)) > LONGEST_SOCKET_PATH:
        yield f"The socket's path is longer than {LONGEST_SOCKET_PATH} bytes, which no Unix socket can have."


def _network_problems(url: SplitResult) -> Iterator[str]:
    try:
        port = url.port
    except ValueError:
        yield "The port must be a number from 1 to 65535."
        return
    if not url.hostname:
        yield f"{url.scheme}:// needs a host, as in tcp://docker.example.com:2376."
    if not port:
        yield "The address needs a port (2376 is usual with TLS, 2375 without)."
    if url.username or url.password:
        yield "The address must not hold a user or a password."
    if url.query or url.fragment:
        yield "The address must end after its path."


def _tls_problems(scheme: str, config: Mapping[str, Any]) -> Iterator[str]:
    wanted = [key for key in ("tls_verify", *_TLS_FILE_KEYS, KEY_TEXT) if config.get(key)]
    if wanted and scheme in {"unix", "http", "ssh"}:
        yield f"{wanted[0]} has no meaning with {scheme}://; use tcp://, or leave it out."
    elif wanted and scheme in {"", "context"}:
        yield f"{wanted[0]} has no meaning here: the context says it; leave it out."
    for key in _SSH_KEYS:
        if config.get(key) and scheme not in {"", "context", "ssh"}:
            yield f"{key} has no meaning with {scheme}://; use ssh://, or leave it out."
    yield from _key_problems(config)
    for key in _FILE_KEYS:
        path = config.get(key)
        if path and key_files.BEGIN not in path and not os.path.isfile(path):
            yield f"{key}: there is no file {path!r}."


def _key_problems(config: Mapping[str, Any]) -> Iterator[str]:
    keys = [key for key in ("tls_client_key", KEY_TEXT) if config.get(key)]
    if bool(config.get("tls_client_cert")) != bool(keys):
        yield f"tls_client_cert and tls_client_key (or {KEY_TEXT}) belong together: give both or neither."
    if len(keys) > 1:
        yield f"tls_client_key names a file, and {KEY_TEXT} is a key: give one of them."
    # What is wrong is said without the value: it may be a key all the same.
    if str(config.get("tls_client_key", "")).lstrip().startswith(key_files.BEGIN):
        yield f"tls_client_key must be the path of a file; set the key itself as the secret {KEY_TEXT}."
    text = config.get(KEY_TEXT, "")
    if not isinstance(text, str) or (text and not text.startswith(key_files.BEGIN)):
        yield f"{KEY_TEXT} must be a key in PEM, which starts with -----BEGIN."


def _unknown_keys(config: Mapping[str, Any]) -> Iterator[str]:
    for key in sorted(set(config) - _KNOWN_KEYS):
        yield f"{key} is not a setting of this kind of host; known are {', '.join(sorted(_KNOWN_KEYS))}."


def _socket_path(url: SplitResult) -> str:
    # unix://var/run/docker.sock is what Docker's own clients also take for an absolute path.
    return "/" + f"{url.netloc}{url.path}".lstrip("/")


def _tls(url: SplitResult, config: Mapping[str, Any]) -> Tls | None:
    wanted = url.scheme == "https" or any(config.get(key) for key in ("tls_verify", *_TLS_FILE_KEYS))
    if not wanted:
        return None
    return Tls(
        verify=config.get("tls_verify", True),
        ca_cert=config.get("tls_ca_cert", ""),
        client_cert=config.get("tls_client_cert", ""),
        client_key=config.get("tls_client_key") or config.get(KEY_TEXT, ""),
    )
