"""The exit codes of our commands, and the errors that carry them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from enum import IntEnum

from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.core.management import CommandError
from django.db import Error as DatabaseError

from hosts.errors import TallymanError


class Exit(IntEnum):
    """What the code of a command says; TIMED_OUT and below are of commands that stand for their job."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 4
    TRY_LATER = 75
    TIMED_OUT = 124
    NOT_STARTED = 125
    INTERRUPTED = 130


IN_HELP = "exit codes: 0 ok, 1 failed, 2 wrong usage, 4 not found, 75 try later"
OF_A_JOB_IN_HELP = (
    "exit codes: the container's own; else 124 it ran into its timeout, 125 it could not be started,\n"
    "130 it was cancelled (Ctrl-C cancels it, a second Ctrl-C leaves it alone and stops waiting),\n"
    "1 its end is not known; 2 wrong usage, 4 not found, 75 try later (no supervisor is running)"
)


def failure(message: str, code: Exit = Exit.FAILED) -> CommandError:
    """An error that ends the command with one line and this code."""
    return CommandError(message, returncode=int(code))


@contextlib.contextmanager
def one_line_errors() -> Iterator[None]:
    """Turn what may go wrong into a sentence and an exit code, instead of a traceback."""
    try:
        yield
    except ValidationError as exc:
        raise failure(sentences(exc), Exit.USAGE) from exc
    except TallymanError as exc:
        raise failure(str(exc)) from exc
    except DatabaseError as exc:
        reason = " ".join(str(exc).split()) or type(exc).__name__
        raise failure(f"The database cannot be used: {reason}", Exit.TRY_LATER) from exc
    except ImproperlyConfigured as exc:
        raise failure(str(exc), Exit.USAGE) from exc
    except KeyboardInterrupt as exc:
        raise failure("Interrupted.", Exit.INTERRUPTED) from exc


def sentences(error: ValidationError) -> str:
    """All that is wrong, each with its field."""
    if not hasattr(error, "error_dict"):
        return " ".join(error.messages)
    return " ".join(
        f"{field}: {message}" if field != "__all__" else message
        for field, messages in error.message_dict.items()
        for message in messages
    )
