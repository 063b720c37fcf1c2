"""A connection test, step by step: what each of its steps found. Calls the engine, and no database.

A step that hangs is its caller's to give up (`supervisor.examiner`): it runs on a thread.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from hosts.errors import TallymanError
from hosts.executors import registry
from hosts.executors.contract import ContainerExecutor, EngineFacts, HostView
from hosts.executors.examining import Step, StepSkipped, StepWarning
from hosts.masking import MASK, mask_text

FoundState = Literal["waiting", "running", "ok", "warning", "failed", "skipped"]

MOST_SECONDS_A_CALL = 10.0
_SKEW_SECONDS = 5.0
_LONGEST_TEXT = 500
_SHORTEST_SECRET = 4
CONFIGURATION, ENGINE = "Configuration", "Engine answers"


@dataclass(slots=True)
class Found:
    """One step as it stands."""

    name: str
    state: FoundState = "waiting"
    detail: str = ""
    hint: str = ""
    seconds: float | None = None


@dataclass(slots=True)
class Examination:
    """`run` takes all steps; `tell` gets them, as JSON, whenever one of them begins or ends.

    `others` are the engine ids of the installation's other hosts, with their names; `known_id` is the id of
    the engine that this host has met before; `secrets` are texts that must not be shown.
    """

    view: HostView
    others: Mapping[str, str]
    known_id: str
    tell: Callable[[list[dict[str, Any]]], None]
    secrets: Sequence[str] = ()
    found: list[Found] = field(default_factory=list)
    _executor: ContainerExecutor | None = None
    _facts: EngineFacts | None = None

    def run(self) -> None:
        """Take every step that has a meaning; never raises for what a step met with."""
        make = Step(name=CONFIGURATION, run=self._make, hint="Edit the host's settings.")
        if not self._take_all([make], until_failure=True):
            return
        assert self._executor is not None
        try:
            self._examine(self._executor)
        finally:
            with suppress(Exception):  # what it raises when it is closed is no part of the test
                self._executor.close()

    def _examine(self, executor: ContainerExecutor) -> None:
        way, inside = self._declared(executor.way_steps), self._declared(executor.engine_steps)
        ask = Step(name=ENGINE, run=self._ask, hint="Does it run, and may this machine reach it?")
        after = [
            Step(name="Machine", run=self._machine),
            Step(name="Disk", run=self._disk),
            Step(name="Clock", run=self._clock, hint="Let both machines keep time by NTP."),
            Step(
                name="Identity", run=self._identity, hint="One engine, one host: use the host that is there."
            ),
            *inside,
        ]
        self.found += [Found(step.name) for step in (*way, ask, *after)]
        if self._take_all([*way, ask], until_failure=True):
            self._take_all(after, until_failure=False)

    def _declared(self, declare: Callable[[], Sequence[Step]]) -> list[Step]:
        try:
            steps = list(declare())
        except Exception as exc:  # noqa: BLE001 (somebody else's code)
            steps = [Step(name="Its own steps", run=_raising(exc))]
        return [one for one in steps if isinstance(one, Step)]

    def _take_all(self, steps: Sequence[Step], *, until_failure: bool) -> bool:
        for step in steps:
            found = self._of(step.name)
            if not self._take(step, found) and until_failure:
                self._skip_the_rest()
                return False
        return True

    def _of(self, name: str) -> Found:
        waiting = (one for one in self.found if one.name == name and one.state == "waiting")
        found = next(waiting, None)
        if found is None:
            found = Found(name)
            self.found.append(found)
        return found

    def _take(self, step: Step, found: Found) -> bool:
        found.state = "running"
        self._tell()
        began = time.monotonic()
        try:
            found.detail, found.state = self._text(step.run()), "ok"
        except StepSkipped as exc:
            found.detail, found.state = self._text(exc), "skipped"
        except StepWarning as exc:
            found.detail, found.hint, found.state = self._text(exc), self._text(exc.hint), "warning"
        except Exception as exc:  # noqa: BLE001 (of whatever kind: the step has failed, and says why)
            found.detail, found.state = self._words(exc), "failed"
            found.hint = self._text(getattr(exc, "hint", "") or step.hint)
        found.seconds = round(time.monotonic() - began, 4)
        self._tell()
        return found.state != "failed"

    def _words(self, error: Exception) -> str:
        text = str(error) if isinstance(error, TallymanError) else f"{type(error).__name__}: {error}"
        return self._text(text.removeprefix(f"{self.view.name}: ").removeprefix(f"Host {self.view.name!r}: "))

    def _text(self, value: object) -> str:
        text = str(value)
        for secret in self.secrets:
            text = text.replace(secret, MASK)
        text = mask_text(text)
        return text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "…"

    def _skip_the_rest(self) -> None:
        for one in self.found:
            if one.state == "waiting":
                one.state = "skipped"
        self._tell()

    def _tell(self) -> None:
        self.tell([asdict(one) for one in self.found])

    # ── the steps that every executor has ─────────────────────────────────────────────────────────────

    def _make(self) -> str:
        view = self.view
        problems = registry.settings_problems(view.executor_type, view.base_url, view.config)
        if problems:
            raise TallymanError(" ".join(problems))
        # A test is to be over while somebody waits for it.
        timeout = view.config.get("timeout", MOST_SECONDS_A_CALL)
        config = {**view.config, "timeout": min(timeout, MOST_SECONDS_A_CALL)}
        self._executor = registry.executor_for(dataclasses.replace(view, config=config))
        return registry.label(view.executor_type)

    def _ask(self) -> str:
        assert self._executor is not None
        began = time.monotonic()
        facts = self._executor.check()
        seconds = time.monotonic() - began
        if not isinstance(facts, EngineFacts):
            raise TallymanError(f"Its executor gave {facts!r}, which is no EngineFacts.")
        self._facts = facts
        api = f", API {facts.api_version}" if facts.api_version else ""
        return f"version {facts.version or 'not told'}{api}, in {seconds * 1000:.0f} ms"

    def _known(self) -> EngineFacts:
        assert self._facts is not None
        return self._facts

    def _machine(self) -> str:
        facts = self._known()
        parts = [f"{facts.cpus} CPUs" if facts.cpus else "", facts.operating_system]
        if facts.memory_bytes:
            parts.insert(1, f"{facts.memory_bytes / 1024**3:.1f} GiB of memory")
        if not any(parts):
            raise StepSkipped("the engine does not tell")
        return ", ".join(part for part in parts if part)

    def _disk(self) -> str:
        facts = self._known()
        free, total = facts.disk_free_bytes, facts.disk_total_bytes
        if free is None or not total:
            raise StepSkipped("only known of engines on the supervisor's machine")
        text = f"{free / 1024**3:.1f} of {total / 1024**3:.1f} GiB free"
        if free < total / 20:
            raise StepWarning(
                text, "Images and logs need room: clean up, by docker system prune for instance."
            )
        return text

    def _clock(self) -> str:
        at = self._known().clock_at
        if at is None:
            raise StepSkipped("the engine does not tell")
        skew = at.timestamp() - time.time()
        if abs(skew) > _SKEW_SECONDS:
            hint = "Times of its logs and ends are wrong by as much: let both machines keep time by NTP."
            raise StepWarning(f"{abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} ours", hint)
        return "as ours"

    def _identity(self) -> str:
        engine_id = self._known().engine_id
        if other := self.others.get(engine_id):
            raise TallymanError(f"This is the engine of host {other!r} already.")
        if self.known_id and self.known_id != engine_id:
            raise TallymanError(
                f"This is another engine ({engine_id}) than the one seen before ({self.known_id})."
            )
        return "the engine that was seen before" if self.known_id else "known under no other name"


def _raising(error: Exception) -> Callable[[], str]:
    def run() -> str:
        raise error

    return run


def secret_texts(config: object) -> list[str]:
    """Every text in a host's encrypted settings that is long enough to be one."""
    if isinstance(config, Mapping):
        return [text for value in config.values() for text in secret_texts(value)]
    return [config] if isinstance(config, str) and len(config) >= _SHORTEST_SECRET else []
