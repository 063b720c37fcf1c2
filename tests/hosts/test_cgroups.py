"""Usage from the kernel's files: constructed trees of both cgroup versions, and containers that run here."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hosts.executors import cgroups
from hosts.executors.cgroups import Place
from hosts.executors.contract import Usage
from hosts.executors.docker import DockerExecutor
from tests.support.containers import host_view, launch, script, until_exited
from tests.support.waiting import wait_until

ID = "320c7231b0c50fd1d5faa2a5fe57d8faa9704825d94a0cedc3e24c67e685db52"
PID = 77
MIB = 2**20
_NET_DEV = """Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls
    lo:     900       9    0    0    0     0          0         0      900       9    0    0    0     0
  eth0:    1000      10    0    0    0     0          0         0       20       1    0    0    0     0
  eth1:12345678901   1    0    0    0     0          0         0        3       1    0    0    0     0
"""
_V1 = {
    "memory/memory.usage_in_bytes": "30924800\n",
    "memory/memory.max_usage_in_bytes": "40982144\n",
    "memory/memory.failcnt": "0\n",
    "memory/memory.stat": "cache 1\ninactive_file 1\ntotal_inactive_file 924800\ntotal_active_file 100000\n",
    "cpuacct/cpuacct.usage": "186717470\n",
    "blkio/blkio.throttle.io_service_bytes_recursive": (
        "8:0 Read 4096\n8:0 Write 100\n8:0 Sync 5000\n8:0 Total 4196\n"
        "253:1 Read 1\n253:1 Write 2\nTotal 4199\n"
    ),
    "pids/pids.current": "4\n",
}
_V2 = {
    "memory.current": "30924800\n",
    "memory.peak": "40982144\n",
    "memory.events": "low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\n",
    "memory.stat": "anon 30000000\nfile 1024800\ninactive_file 924800\nactive_file 100000\n",
    "cpu.stat": "usage_usec 186717\nuser_usec 1\nsystem_usec 2\n",
    "io.stat": (
        "8:0 rbytes=4096 wbytes=100 rios=1 wios=1 dbytes=7 dios=1\n"
        "253:1 rbytes=1 wbytes=2 rios=1 wios=1 dbytes=0\n"
    ),
    "pids.current": "4\n",
}
_EXPECTED = {
    "memory_bytes": 30000000,
    "cache_bytes": 1024800,
    "memory_high_bytes": 40982144,
    "network_rx_bytes": 12345679901,
    "network_tx_bytes": 23,
    "block_read_bytes": 4097,
    "block_write_bytes": 102,
    "pids": 4,
}


class Machine:
    """A /proc and a /sys/fs/cgroup of one container, as files that a test may change."""

    def __init__(self, folder: Path) -> None:
        self.proc, self.root = folder / "proc", folder / "cgroup"
        self.write(self.proc / f"{PID}/net/dev", _NET_DEV)
        self.started(4242)

    def started(self, ticks: int, state: str = "S") -> None:
        """The process that has the pid began then."""
        self.write(self.proc / f"{PID}/stat", f"{PID} (a ) b) {state} {'0 ' * 18}{ticks} 0 0\n")

    def v1(self, path: str = f"/docker/{ID}", joint: bool = False) -> Machine:
        mounts = {"cpuacct": "cpu,cpuacct"} if joint else {}
        for name, text in _V1.items():
            controller, _, file = name.partition("/")
            self.write(self.root / mounts.get(controller, controller) / path.strip("/") / file, text)
        cpu = "4:cpu,cpuacct" if joint else "2:cpuacct"
        others = "".join(
            f"{number}:{name}:{path}\n" for number, name in ((9, "memory"), (8, "pids"), (7, "blkio"))
        )
        self.write(self.proc / f"{PID}/cgroup", f"{others}{cpu}:{path}\n1:name=systemd:{path}\n0::{path}\n")
        (self.root / "unified" / path.strip("/")).mkdir(parents=True)
        return self

    def v2(self, path: str = f"/system.slice/docker-{ID}.scope", inside: str = "") -> Machine:
        self.write(self.root / "cgroup.controllers", "cpu io memory pids\n")
        for name, text in _V2.items():
            self.write(self.root / path.strip("/") / name, text)
        self.write(self.proc / f"{PID}/cgroup", f"0::{path}{inside}\n")
        return self

    def find(self, container_id: str = ID, *, own_network: bool = True) -> Place | None:
        return cgroups.find(PID, container_id, own_network=own_network, proc=self.proc, root=self.root)

    def read(self, **options: bool) -> Usage | None:
        place = self.find(**options)
        assert place is not None
        return cgroups.read(place)

    @staticmethod
    def write(path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def measured(usage: Usage | None) -> dict[str, object]:
    assert usage is not None
    return {name: getattr(usage, name) for name in _EXPECTED}


@pytest.mark.parametrize("joint", [False, True])
def test_version_1_is_read_in_full(machine: Machine, joint: bool) -> None:
    usage = machine.v1(joint=joint).read()
    assert measured(usage) == _EXPECTED
    assert usage is not None
    assert usage.cpu_seconds == pytest.approx(0.18671747)
    assert usage.at is not None


@pytest.mark.parametrize(
    ("path", "inside"),
    [
        (f"/system.slice/docker-{ID}.scope", ""),
        (f"/docker/{ID}", ""),
        (f"/docker/{ID}", "/init.scope"),  # it moved its processes into a cgroup of its own making
        (f"/machine.slice/libpod-{ID}.scope", "/container"),
    ],
)
def test_version_2_is_read_in_full(machine: Machine, path: str, inside: str) -> None:
    usage = machine.v2(path, inside).read()
    assert measured(usage) == _EXPECTED
    assert usage is not None
    assert usage.cpu_seconds == pytest.approx(0.186717)


def test_a_network_shared_with_others_is_not_the_containers(machine: Machine) -> None:
    usage = machine.v2().read(own_network=False)
    assert usage is not None
    assert usage.network_rx_bytes is usage.network_tx_bytes is None
    assert usage.pids == 4


@pytest.mark.parametrize("name", ["memory.current", "memory.stat", "cpu.stat", "io.stat", "pids.current"])
def test_what_a_kernel_does_not_tell_is_unknown_and_the_rest_is_told(machine: Machine, name: str) -> None:
    (machine.v2().root / f"system.slice/docker-{ID}.scope" / name).unlink()
    usage = machine.read()
    gone = {name for name, value in measured(usage).items() if value is None}
    expected = {
        "memory.current": {"memory_bytes"},
        "memory.stat": {"memory_bytes", "cache_bytes"},
        "cpu.stat": set(),
        "io.stat": {"block_read_bytes", "block_write_bytes"},
        "pids.current": {"pids"},
    }
    assert usage is not None
    assert gone == expected[name]
    assert (usage.cpu_seconds is None) is (name == "cpu.stat")


def test_a_kernel_that_counts_for_no_device_tells_nothing_of_disks(machine: Machine) -> None:
    machine.v1()
    file = machine.root / f"blkio/docker/{ID}/blkio.throttle.io_service_bytes_recursive"
    file.write_text("Total 0\n")
    usage = machine.read()
    assert usage is not None
    assert usage.block_read_bytes is usage.block_write_bytes is None


@pytest.mark.parametrize("name", ["blkio.throttle.io_service_bytes", "blkio.bfq.io_service_bytes_recursive"])
def test_other_kernels_have_other_names_for_it(machine: Machine, name: str) -> None:
    machine.v1()
    file = machine.root / f"blkio/docker/{ID}/blkio.throttle.io_service_bytes_recursive"
    file.rename(file.with_name(name))
    assert measured(machine.read()) == _EXPECTED


def test_on_version_2_no_traffic_is_a_figure(machine: Machine) -> None:
    (machine.v2().root / f"system.slice/docker-{ID}.scope/io.stat").write_text("")
    usage = machine.read()
    assert usage is not None
    assert (usage.block_read_bytes, usage.block_write_bytes) == (0, 0)


@pytest.mark.parametrize("version", [1, 2])
def test_a_peak_at_the_limit_is_not_told(machine: Machine, version: int) -> None:
    if version == 1:
        machine.v1()
        (machine.root / f"memory/docker/{ID}/memory.failcnt").write_text("3\n")
    else:
        machine.v2()
        (machine.root / f"system.slice/docker-{ID}.scope/memory.events").write_text("high 0\nmax 3\n")
    usage = machine.read()
    assert usage is not None
    assert usage.memory_high_bytes is None
    assert usage.memory_bytes == 30000000


@pytest.mark.parametrize("version", [1, 2])
def test_a_peak_is_never_below_what_is_used_when_the_container_grows_between_the_two_files(
    machine: Machine, version: int
) -> None:
    if version == 1:
        machine.v1()
        (machine.root / f"memory/docker/{ID}/memory.usage_in_bytes").write_text("50000000\n")
    else:
        machine.v2()
        (machine.root / f"system.slice/docker-{ID}.scope/memory.current").write_text("50000000\n")
    usage = machine.read()
    assert usage is not None
    assert usage.memory_high_bytes == 50000000


@pytest.mark.parametrize("path", ["/", "/docker/" + "f" * 64, f"/../docker-{ID}.scope", f"/elsewhere/{ID}"])
def test_a_pid_that_is_not_visibly_of_this_container_is_not_read(machine: Machine, path: str) -> None:
    machine.v2()
    machine.write(machine.proc / f"{PID}/cgroup", f"0::{path}\n")
    assert machine.find() is None


def test_a_short_id_proves_nothing(machine: Machine) -> None:
    assert machine.v2().find(ID[:12]) is None


def test_an_engine_whose_processes_are_not_seen_here_is_not_read(tmp_path: Path) -> None:
    assert cgroups.find(PID, ID, own_network=True, proc=tmp_path, root=tmp_path) is None


def test_a_pid_that_another_process_got_is_not_read(machine: Machine) -> None:
    place = machine.v2().find()
    assert place is not None
    machine.started(9999)
    assert cgroups.read(place) is None


@pytest.mark.parametrize("state", ["Z", "X"])
def test_a_container_that_ended_meanwhile_has_no_figures_rather_than_zeros(
    machine: Machine, state: str
) -> None:
    place = machine.v2().find()
    assert place is not None
    machine.started(4242, state)
    assert cgroups.read(place) is None
    machine.started(4242)
    for name in _V2:
        (machine.root / f"system.slice/docker-{ID}.scope" / name).unlink()
    assert cgroups.read(place) is None


class TestRealContainers:
    def test_a_running_container_of_this_machine_is_read_without_asking_the_engine(
        self, docker_engine, executor: DockerExecutor, monkeypatch
    ):
        if not os.path.exists(cgroups.CGROUPS):
            pytest.skip("no cgroups here")
        text = "x=$(head -c 20000000 /dev/zero | tr '\\0' x); while :; do :; done"
        container_id = launch(executor, script(text))
        wait_until(lambda: (executor.usage(container_id) or Usage()).cpu_seconds, 10)
        assert executor._places[container_id] is not None
        monkeypatch.setattr(executor._client, "get", lambda *_a, **_k: pytest.fail("asked the engine"))

        def full() -> Usage | None:
            usage = executor.usage(container_id)
            return usage if usage and (usage.memory_bytes or 0) > 20_000_000 else None

        usage = wait_until(full, 10)
        assert usage is not None
        assert (usage.memory_bytes or 0) < 80 * MIB
        assert (usage.memory_high_bytes or 0) >= (usage.memory_bytes or 0)
        assert (usage.cpu_seconds or 0) > 0
        assert usage.pids is not None
        assert (usage.network_rx_bytes, usage.network_tx_bytes) == (
            0,
            0,
        )  # it has a network, and nobody in it
        monkeypatch.undo()
        executor.signal(container_id, "KILL")
        until_exited(executor, container_id)
        assert executor.usage(container_id) is None

    def test_the_files_and_the_engine_agree(self, docker_engine, executor: DockerExecutor):
        text = "x=$(head -c 20000000 /dev/zero | tr '\\0' x); sleep 100; :"
        container_id = launch(executor, script(text))
        by_engine = DockerExecutor(host_view(docker_engine.url))
        by_engine._places[container_id] = None  # as of an engine elsewhere

        def settled() -> tuple[Usage, Usage] | None:
            files, engine = executor.usage(container_id), by_engine.usage(container_id)
            close = files and engine and (files.memory_bytes or 0) > 20_000_000
            return (files, engine) if close and files.memory_bytes == engine.memory_bytes else None

        files, engine = wait_until(settled, 20) or (Usage(), Usage())
        by_engine.close()
        assert engine.memory_high_bytes == files.memory_high_bytes
        assert engine.cache_bytes == files.cache_bytes
        assert engine.pids == files.pids
        assert engine.cpu_seconds == pytest.approx(files.cpu_seconds, abs=0.2)
        assert engine.at is not None
        assert files.at is not None
        assert abs((engine.at - files.at).total_seconds()) < 5
