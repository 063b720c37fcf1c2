"""A Cloud Run host on the fake, with a service account of its own, and short words for what its tests do."""

from __future__ import annotations

import functools
import json
import shlex
import uuid
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from hosts.executors import frames
from hosts.executors.cloudrun import CloudRunExecutor
from hosts.executors.contract import (
    HostView,
    JobView,
    Observation,
    TemplateView,
)
from hosts.executors.log_source import LogSource, Resume
from tests.support.fake_cloudrun import PROJECT, REGION, FakeCloudRun
from tests.support.waiting import wait_until

SETTLE_SECONDS = 0.4


@functools.cache
def _private_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def public_key() -> str:
    """What signatures of the account are checked with."""
    key = serialization.load_pem_private_key(_private_key().encode(), password=None)
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, form).decode()


def write_credentials(folder: Path, fake: FakeCloudRun) -> Path:
    """The key file of a service account that gets its tokens from the fake."""
    path = folder / "service-account.json"
    account = f"tallyman@{PROJECT}.iam.gserviceaccount.com"
    key = {
        "type": "service_account",
        "project_id": PROJECT,
        "private_key_id": "1",
        "private_key": _private_key(),
        "client_email": account,
        "client_id": "1",
        "token_uri": f"{fake.url}/token",
        # No universe of Google's: nothing is looked up there.
        "universe_domain": "tallyman.test",
    }
    path.write_text(json.dumps(key))
    return path


class CloudBench:
    """One host on a fake."""

    def __init__(self, fake: FakeCloudRun, folder: Path, **config: Any) -> None:
        self.fake = fake
        fake.public_key = public_key()
        self.installation = uuid.uuid4()
        self.config = {
            "project": PROJECT,
            "region": REGION,
            "credentials_file": str(write_credentials(folder, fake)),
            "timeout": 5,
            "log_settle_seconds": SETTLE_SECONDS,
            "log_reads_per_minute": 6000,
            **config,
        }
        self.executor = self.another_executor()

    def another_executor(self, **config: Any) -> CloudRunExecutor:
        """As another worker has it."""
        return CloudRunExecutor(
            HostView(
                id=uuid.uuid4(),
                name="cloud",
                executor_type="cloudrun",
                base_url=self.fake.url,
                installation=self.installation,
                config={**self.config, **config},
            )
        )

    def view(self, command: str = "true", *, job: uuid.UUID | None = None, **template: Any) -> JobView:
        """A job whose command is given as shell words."""
        job = job or uuid.uuid4()
        fields = {
            "name": "a template",
            "docker_image": "us-docker.pkg.dev/my-gcp-project/images/job:1",
            "command": command,
            "working_directory": "",
            "memory_limit": None,
            "cpu_limit": None,
            "timeout_seconds": 60,
            **template,
        }
        return JobView(
            id=job,
            attempt_id=uuid.uuid4(),
            attempt=1,
            epoch=1,
            name="a job",
            container_name=f"tallyman-{self.installation}-{job}",
            template=TemplateView(**fields),
            command=tuple(shlex.split(command)),
            environment={"TALLYMAN_JOB_ID": str(job)},
        )

    def start(self, command: str = "true", **template: Any) -> str:
        """The id of a new job that was started."""
        container_id = self.executor.create(self.view(command, **template)).container_id
        self.executor.start(container_id)
        return container_id

    def observe(self, ref: str) -> Observation:
        seen = self.executor.observe(ref)
        assert seen is not None
        return seen

    def ended(self, container_id: str) -> Observation:
        """Wait for its end."""
        wait_until(
            lambda: self.observe(container_id).state == "exited",
            timeout_seconds=10,
            what="the end of the job",
        )
        return self.observe(container_id)

    def run(self, command: str, **template: Any) -> Observation:
        """Run a job to its end."""
        return self.ended(self.start(command, **template))

    def log(self, container_id: str, resume: Resume | None = None) -> bytes:
        """All of a log after what is stored."""
        return read_to_end(self.executor.open_log(container_id, resume or Resume(), follow=False))

    def api_job(self, container_id: str) -> dict[str, Any]:
        """The Job as the API shows it now."""
        return self.fake.jobs[container_id.rpartition("-")[0]].body


def shell(script: str) -> str:
    """The command that runs a shell script."""
    return f"sh -c {shlex.quote(script)}"


def read_to_end(source: LogSource) -> bytes:
    """Everything that a source gives; it must come to its end."""
    data: list[bytes] = []

    def is_over() -> bool:
        block = source.read(65536)
        data.append(block or b"")
        return block is None

    try:
        wait_until(is_over, timeout_seconds=15, what="the end of the log")
    finally:
        source.close()
    return b"".join(data)


def read_until(source: LogSource, text: bytes) -> bytes:
    """What a source gives until the text is among it."""
    data: list[bytes] = []

    def has_text() -> bool:
        data.append(source.read(65536) or b"")
        return text in b"".join(data)

    wait_until(has_text, timeout_seconds=10, what=f"{text!r} in the log")
    return b"".join(data)


def payloads(data: bytes) -> tuple[bytes, bytes]:
    """The two streams in whole frames."""
    both = list(frames.walk(data))
    return tuple(b"".join(one.payload for one in both if one.stream == stream) for stream in (1, 2))  # type: ignore[return-value]


def resume_after(data: bytes, **fields: Any) -> Resume:
    """The resume point of whom all these frames are stored."""
    tally = frames.tally(data)
    return Resume(
        newest=tally.newest,
        tail=data,
        stdout_bytes=tally.stdout_bytes,
        stderr_bytes=tally.stderr_bytes,
        tail_seconds=CloudRunExecutor.log_tail_seconds,
        **fields,
    )
