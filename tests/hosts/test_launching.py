"""Executors that only launch: once for each attempt, and unknown where nobody can tell."""

from __future__ import annotations

import threading
import uuid
from pathlib import Path
from typing import Any, ClassVar

import pytest

from hosts.errors import ContainerExecutionError, DockerConnectionError, LaunchFailed
from hosts.executors.capabilities import Capabilities
from hosts.executors.contract import (
    ContainerExecutor,
    EngineFacts,
    HostView,
    JobView,
)
from hosts.executors.log_source import Resume
from tests.support.containers import job_view, read_log
from tests.support.own_executors import MyCustomExecutor, Unfinished, Watched


def view(**config: Any) -> HostView:
    return HostView(
        id=uuid.uuid4(),
        name="mine",
        executor_type="mine",
        base_url="",
        installation=uuid.uuid4(),
        config=config,
    )


@pytest.fixture
def host(tmp_path: Path) -> HostView:
    return view(folder=str(tmp_path), region="north")


class Scripted(ContainerExecutor):
    """Its `launch_job` and `check_status` do what a test says."""

    answer: ClassVar[Any] = (True, "id")
    status: ClassVar[Any] = "running"
    launched = 0

    def launch_job(self, job: JobView) -> Any:
        self.launched += 1
        return _given(self.answer)

    def check_status(self, platform_id: str) -> Any:
        return _given(self.status)


def _given(what: Any) -> Any:
    if isinstance(what, Exception):
        raise what
    return what


def scripted(**fields: Any) -> Scripted:
    return type("Mine", (Scripted,), fields)(view())


def launched(executor: ContainerExecutor) -> str:
    made = executor.create(job_view())
    return executor.start(made.container_id) or made.container_id


def test_the_object_is_one_of_the_class_and_lacks_nothing(host: HostView) -> None:
    executor = MyCustomExecutor(host)
    assert isinstance(executor, MyCustomExecutor)
    assert executor.config["region"] == "north"
    assert executor.label == type(executor).label == "MyCustomExecutor"
    assert executor.check() == executor.check()


def test_a_class_that_has_neither_way_cannot_be_made(host: HostView) -> None:
    with pytest.raises(TypeError, match="abstract"):
        Unfinished(host)


def test_flags_follow_from_what_a_class_has(host: HostView) -> None:
    assert MyCustomExecutor(host).capabilities == Capabilities()
    assert Watched(host).capabilities == Capabilities(logs=True, stop=True)
    own = type("Own", (Watched,), {"capabilities": Capabilities(memory_limit=True)})
    assert own(host).capabilities == Capabilities(logs=True, stop=True, memory_limit=True)


def test_what_a_class_has_of_the_rest_is_used() -> None:
    facts = EngineFacts(engine_id="its own", version="2")
    assert scripted(check=lambda _self: facts).check() is facts


def test_nothing_is_asked_of_the_platform_before_the_start() -> None:
    executor = scripted()
    made = executor.create(job_view())
    assert (executor.launched, executor.observe(made.container_id).state) == (0, "created")


def test_a_second_start_launches_nothing() -> None:
    executor = scripted()
    container_id = launched(executor)
    assert executor.start(container_id) is None
    assert executor.launched == 1


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((False, "no quota"), "^no quota$"),
        ((False, None), "gave no reason"),
        (None, "gave None, which is neither"),
        ((True, ""), "which is neither"),
        ("id", "which is neither"),
        (OSError("token=hunter2"), "launch_job failed: OSError: token=•••"),
        (ContainerExecutionError("no such image", failure_class="image_not_found"), "no such image"),
        (LaunchFailed("full", failure_class="disk_full"), "full"),
    ],
)
def test_what_was_not_launched_is_final_and_says_why(answer: Any, words: str) -> None:
    executor = scripted(answer=answer)
    made = executor.create(job_view())
    with pytest.raises(ContainerExecutionError, match=words) as caught:
        executor.start(made.container_id)
    assert isinstance(caught.value, LaunchFailed) is isinstance(answer, LaunchFailed)
    with pytest.raises(DockerConnectionError):
        executor.start(made.container_id)
    assert executor.launched == 1


def test_a_launch_without_proof_is_unknown_for_good() -> None:
    executor = scripted(answer=DockerConnectionError("no answer"))
    made = executor.create(job_view())
    for call in (executor.start, executor.start, executor.observe, executor.discard):
        with pytest.raises(DockerConnectionError):
            call(made.container_id)
    assert executor.launched == 1


def test_after_a_crash_an_id_tells_whether_the_launch_was_answered(host: HostView) -> None:
    before, after = Watched(host), Watched(host)
    made = before.create(job_view())
    with pytest.raises(DockerConnectionError, match="it is not launched again"):
        after.observe(made.container_id)
    with pytest.raises(DockerConnectionError):
        after.start(made.container_id)
    container_id = before.start(made.container_id)
    seen = after.observe(container_id)
    assert (seen.state, seen.label("job"), seen.label("attempt")) == ("running", made.label("job"), "1")
    assert seen.label("installation") == str(host.installation)


@pytest.mark.parametrize(
    ("status", "state", "exit_code"),
    [
        ("running", "running", None),
        ("PENDING", "running", None),
        ("completed", "exited", 0),
        ("failed", "exited", 1),
        (0, "exited", 0),
        (42, "exited", 42),
    ],
)
def test_a_status_is_a_word_or_an_exit_code(status: Any, state: str, exit_code: int | None) -> None:
    executor = scripted(status=status)
    seen = executor.observe(launched(executor))
    assert (seen.state, seen.exit_code) == (state, exit_code)
    assert (seen.finished_at is not None) is (state == "exited")


@pytest.mark.parametrize("status", ["not-found", None])
def test_what_the_platform_does_not_know_is_absent(status: Any) -> None:
    executor = scripted(status=status)
    assert executor.observe(launched(executor)) is None


@pytest.mark.parametrize("status", ["dunno", True, 1.5, RuntimeError("away")])
def test_a_status_that_says_nothing_is_unknown(status: Any) -> None:
    executor = scripted(status=status)
    container_id = launched(executor)
    with pytest.raises(DockerConnectionError, match="check_status"):
        executor.observe(container_id)


def test_logs_that_cannot_be_had_are_given_up_after_a_while(host: HostView) -> None:
    class Speechless(Watched):
        def get_logs(self, platform_id: str) -> Any:
            raise OSError("away")

    executor = Speechless(host)
    container_id = launched(executor)
    for _ in range(4):
        with pytest.raises(DockerConnectionError, match="get_logs failed: OSError: away"):
            executor.open_log(container_id, Resume(), follow=False)
    with pytest.raises(ContainerExecutionError):
        executor.open_log(container_id, Resume(), follow=False)


@pytest.mark.parametrize("said", ["only stdout\n", b"only stdout\n", ("only stdout\n", ""), ("", None)])
def test_logs_are_a_text_or_two(host: HostView, said: Any) -> None:
    executor = type("Talks", (Watched,), {"get_logs": lambda _self, _id: said})(host)
    log = read_log(executor, launched(executor))
    assert (b"only stdout\n" in log) is ("only" in str(said))


def test_many_jobs_are_launched_at_once_and_each_once(host: HostView) -> None:
    executor = Watched(host)
    ids: set[str] = set()
    threads = [threading.Thread(target=lambda: ids.add(launched(executor))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(ids) == 8
    assert len((Path(executor.config["folder"]) / "launches").read_text().splitlines()) == 8
