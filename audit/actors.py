"""Who acts now, and from where.

A request's actor is set by `audit.middleware`, a command's by the base of our commands. Whatever else runs
in a process speaks for the process: `speak_as` says who that is.
"""

from __future__ import annotations

import os
import pwd
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID, uuid4

from audit.words import Door

# What the kernel says of a process that descends from no login.
_NO_LOGIN = 2**32 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Somebody, or something, that acts. `act_id` is one for all that came of one request or command.

    `user_key` is the primary key of a user of ours, as text; `says` are further facts.
    """

    door: Door
    name: str = ""
    user_key: str = ""
    address: str | None = None
    machine: str = ""
    says: Mapping[str, str] = field(default_factory=dict)
    act_id: UUID = field(default_factory=uuid4)


Speaker = Callable[[], Actor]

_acting: ContextVar[Speaker | None] = ContextVar("tallyman_audit_actor", default=None)


def system(name: str = "") -> Actor:
    """This program itself; `name` is which part of it."""
    return Actor(door=Door.SYSTEM, name=name, machine=socket.gethostname())


def command() -> Actor:
    """The person at the terminal: the user that the kernel knows, whatever LOGNAME says."""
    uid, login = os.getuid(), _login_uid()
    says = {} if login in (None, uid) else {"logged_in_as": _name_of(login or 0)}
    return Actor(door=Door.COMMAND, name=_name_of(uid), machine=socket.gethostname(), says=says)


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def _login_uid() -> int | None:
    """Who logged in, before `su` and `sudo`; None where the kernel does not say."""
    try:
        login = int(Path("/proc/self/loginuid").read_text())
    except (OSError, ValueError):
        return None
    return None if login == _NO_LOGIN else login


_process: list[Speaker] = [system]


def speak_as(speaker: Speaker) -> None:
    """Let the process itself be this actor, wherever nobody else is known to act."""
    _process[0] = speaker


def current() -> Actor:
    """Who acts now."""
    return (_acting.get() or _process[0])()


@contextmanager
def acting(who: Actor | Speaker) -> Iterator[None]:
    """What is done inside is done by this actor; a function is asked each time."""
    token = _acting.set((lambda: who) if isinstance(who, Actor) else who)
    try:
        yield
    finally:
        _acting.reset(token)
