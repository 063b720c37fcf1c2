"""The steps of a connection test, as executors declare them; `hosts.examination` takes them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step: `run` says what it found, in a few words.

    It raises StepSkipped or StepWarning, or, if it failed, any other exception: best one of ours, whose text
    is shown. It changes nothing at the engine, and returns within seconds. `hint` is what to do if it fails.
    """

    name: str
    run: Callable[[], str]
    hint: str = ""


class StepSkipped(Exception):
    """The step has no meaning here, or nobody can tell; the text says why."""


class StepWarning(Exception):
    """It works, but somebody should know this."""

    def __init__(self, detail: str, hint: str = "") -> None:
        super().__init__(detail)
        self.hint = hint
