"""Executors as other people may write them: one that only launches, fuller ones, and ones that are broken.

Their platform is a folder (`executor_config["folder"]`): each launch is a line of its file `launches`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from hosts.executors.contract import ContainerExecutor, EngineFacts, HostView, JobView, Observation


class Created(NamedTuple):
    job_id: str
    endpoint_url: str


class Platform:
    """Counts what it is asked to run. A file `hang` or `refuse` in its folder makes the next launch do so."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def create_job(self, image: str) -> Created:
        with (self.folder / "launches").open("a") as file:
            file.write(f"{image}\n")
        number = len((self.folder / "launches").read_text().splitlines())
        while (self.folder / "hang").exists():
            time.sleep(0.05)
        return Created(f"run-{number}", f"https://platform.example/run-{number}")

    def told(self, name: str, default: str = "") -> str:
        file = self.folder / name
        return file.read_text() if file.exists() else default


class MyCustomExecutor(ContainerExecutor):
    """As the specification has it, but for how it comes by its platform."""

    @property
    def my_platform(self) -> Platform:
        return Platform(Path(self.config["folder"]))

    def launch_job(self, job: JobView) -> tuple[bool, str]:
        # Your custom launch logic
        result = self.my_platform.create_job(job.template.docker_image)

        # Store relevant identifiers in metadata
        job.executor_metadata = {
            "platform_job_id": result.job_id,
            "endpoint": result.endpoint_url,
            "region": self.config["region"],
            "custom_field": "my_value",
        }
        job.save()
        return True, result.job_id


class Refusing(MyCustomExecutor):
    def launch_job(self, job: JobView) -> tuple[bool, str]:
        return False, "The quota of the account is used up."


class Watched(MyCustomExecutor):
    """Its platform can be asked what became of a job."""

    def check_status(self, platform_id: str) -> str | int:
        said = self.my_platform.told("status", "running")
        return int(said) if said.lstrip("-").isdecimal() else said

    def get_logs(self, platform_id: str) -> tuple[str, str]:
        return f"hello from {platform_id}\nno end", "a word to stderr\n"

    def stop_job(self, platform_id: str, name: str) -> None:
        (self.my_platform.folder / "status").write_text("143")

    def cleanup(self, platform_id: str) -> None:
        (self.my_platform.folder / "cleaned").write_text(platform_id)


class RaisesWhenMade(MyCustomExecutor):
    def __init__(self, host: HostView) -> None:
        raise KeyError("region")


class HangsWhenMade(MyCustomExecutor):
    def __init__(self, host: HostView) -> None:
        super().__init__(host)
        while True:
            time.sleep(1)


class RaisesEverywhere(MyCustomExecutor):
    """Its settings cannot be looked at, and its platform's client is broken."""

    @classmethod
    def validate_config(cls, base_url: str, config: Mapping[str, Any]) -> list[str]:
        raise RuntimeError("the client is broken")

    def check(self) -> EngineFacts:
        raise RuntimeError("the client is broken, token=hunter2")


class Hangs(MyCustomExecutor):
    def check(self) -> EngineFacts:
        while True:
            time.sleep(1)


class Exits(MyCustomExecutor):
    def check(self) -> EngineFacts:
        raise SystemExit(3)


class GivesNonsense(MyCustomExecutor):
    def create(self, job: JobView) -> Observation:
        return None  # type: ignore[return-value]


class Unfinished(ContainerExecutor):
    """It has neither `launch_job` nor all of the rest."""

    def check(self) -> EngineFacts:
        return EngineFacts(engine_id="x", version="1")


def declared(**classes: type[ContainerExecutor]) -> str:
    """Kinds as the setting TALLYMAN_EXECUTORS has them in the environment."""
    return ",".join(f"{kind}={cls.__module__}.{cls.__name__}" for kind, cls in classes.items())


ENVIRONMENT = {
    "TALLYMAN_EXECUTORS": declared(
        mine=MyCustomExecutor,
        refusing=Refusing,
        watched=Watched,
        raising=RaisesWhenMade,
        hanging=HangsWhenMade,
        failing=RaisesEverywhere,
        silent=Hangs,
        exiting=Exits,
        nonsense=GivesNonsense,
        unfinished=Unfinished,
    )
    + ",missing=no.such.module.Executor",
    "DJANGO_SETTINGS_MODULE": "tests.support.own_settings",
}
