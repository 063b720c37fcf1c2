"""What may stand in the fields that reach a container. Pure; used by models, commands and the freeze."""

from __future__ import annotations

import math
import re
import shlex
import signal
from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.utils.deconstruct import deconstructible

from hosts.executors import option_reader
from hosts.executors.container_options import ContainerOptions
from hosts.executors.option_reader import OptionError

RESERVED_PREFIX = "TALLYMAN_"
RETRYABLE = ("user", "oom", "timeout", "interrupted", "lost")
# Linux's MAX_ARG_STRLEN, less the NUL at the end: no program can be started with a longer word or NAME=value.
LONGEST_WORD_BYTES = 128 * 1024 - 1
_SIGNALS = {one.name.removeprefix("SIG") for one in signal.Signals if not one.name.startswith("SIGRT")}
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")


def validate_environment_name(name: str) -> None:
    """A variable's name: letters, digits, `_ . -`, not starting with a digit, not `TALLYMAN_...`."""
    if not _NAME.fullmatch(name):
        raise ValidationError(
            f"{name!r} is no name of an environment variable: use letters, digits and underscores, "
            "not starting with a digit."
        )
    if name.upper().startswith(RESERVED_PREFIX):
        raise ValidationError(f"{name!r}: names that start with {RESERVED_PREFIX} are set by Tallyman.")


def validate_no_nul(value: str) -> None:
    """No NUL character, and nothing that has no UTF-8: neither a process nor PostgreSQL can hold it."""
    if "\x00" in value:
        raise ValidationError("This holds a NUL character, which no environment or command can carry.")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValidationError("This holds something that is no character, so it has no UTF-8.") from None


def validate_environment(value: Any) -> None:
    """A JSON object of names to texts (numbers and booleans are taken as their text)."""
    if not isinstance(value, dict):
        raise ValidationError('This must be a JSON object such as {"NAME": "value"}.')
    for name, text in value.items():
        validate_environment_name(name)
        if not isinstance(text, str | int | float | bool):
            raise ValidationError(f"The value of {name} must be a text, not {type(text).__name__}.")
        if isinstance(text, float) and not math.isfinite(text):
            raise ValidationError(f"The value of {name} is no number that JSON has; put it into quotes.")
        validate_no_nul(str(text))
        _validate_length(f"{name}={text}", f"The variable {name}, with its name,")


def validate_command(value: str) -> None:
    """A command line whose quotes close; shell words as POSIX `sh` splits them."""
    validate_no_nul(value)
    try:
        words = shlex.split(value)
    except ValueError as exc:
        raise ValidationError(f"This command cannot be split into words: {exc}.") from exc
    for place, word in enumerate(words, start=1):
        _validate_length(word, f"Word {place} of the command")


def _validate_length(text: str, what: str) -> None:
    size = len(text.encode())
    if size > LONGEST_WORD_BYTES:
        raise ValidationError(
            f"{what} has {size} bytes; Linux starts no program with more than {LONGEST_WORD_BYTES} in one "
            "word or variable. Hand long texts over in a file."
        )


def validate_signal(value: str) -> None:
    """A signal by its name, `SIGTERM` or `TERM`, that a container's first process can be sent."""
    if value.upper().removeprefix("SIG") not in _SIGNALS:
        raise ValidationError(
            f"{value!r} is no name of a signal; use SIGTERM, SIGINT, SIGQUIT or another one."
        )


def validate_network(value: str) -> None:
    """The name of a network of the engine: not another container's, nor one with orders in it."""
    validate_no_nul(value)
    if ":" in value or "/" in value or value != value.strip():
        raise ValidationError(
            f"{value!r} is no name of a network; `docker network ls` on the host tells them. What another "
            "container has (container:NAME) cannot be joined."
        )


def validate_aliases(value: Any) -> None:
    """A JSON list of names."""
    if not isinstance(value, list) or not all(isinstance(alias, str) and alias for alias in value):
        raise ValidationError('This must be a JSON list of names, such as ["db", "cache"].')
    for alias in value:
        validate_no_nul(alias)


def validate_retry_on(value: Any) -> None:
    """A JSON list of outcomes that may be run again."""
    if not isinstance(value, list) or not all(isinstance(one, str) and one in RETRYABLE for one in value):
        raise ValidationError(f"This must be a JSON list out of {', '.join(sorted(RETRYABLE))}.")


@deconstructible
class OptionValidator:
    """What one field of a template says of its containers, as `hosts.executors.option_reader` reads it."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, value: Any) -> None:
        """ValidationError with a sentence that says what to write instead."""
        validate_options({self.name: value}, alone=True)

    def __eq__(self, other: object) -> bool:
        """Whether it is for the same field, which is how migrations tell that nothing changed."""
        return isinstance(other, OptionValidator) and self.name == other.name

    def __hash__(self) -> int:
        return hash(self.name)


def validate_options(
    values: Mapping[str, Any], *, memory_limit: int | None = None, alone: bool = False
) -> ContainerOptions:
    """The options that the fields say; `alone` leaves out what one field asks of another."""
    try:
        options = option_reader.read(values)
        problem = "" if alone else option_reader.together(options, memory_limit)
    except OptionError as exc:
        problem = str(exc)
    if problem:
        raise ValidationError(problem)
    return options
