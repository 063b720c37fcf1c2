"""Docker engines for tests: own `dockerd` processes, started, killed and frozen at will.

Each engine has its data, sockets and `containerd` in a folder of its own under the temporary folder, no
bridge and no firewall rules, so several run side by side and beside one that is already there.

    with running_engine() as engine:
        engine.api.version()
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import docker
import psutil

from tests.support import busybox
from tests.support.unix_transport import UnixAdapter
from tests.support.waiting import wait_until

START_SECONDS = 30.0
STOP_SECONDS = 30.0
_PR_SET_PDEATHSIG = 1


def unavailable() -> str:
    """Why this machine cannot run engines of our own; empty if it can."""
    if os.geteuid() != 0:
        return "dockerd needs root"
    for program in ("dockerd", "containerd", "runc"):
        if not shutil.which(program):
            return f"{program} is not installed"
    return "" if busybox.PROGRAM.is_file() else f"{busybox.PROGRAM} is not installed"


class Engine:
    """One `dockerd`. `url` stays the same however often it is stopped and started."""

    def __init__(self, *options: str, secluded: bool = False) -> None:
        """`options` are more of dockerd's own, `--live-restore` for instance.

        `secluded`: in a network of its own, where the fixed ports of swarms (7946, 4789) are free.
        """
        self.folder = Path(tempfile.mkdtemp(prefix="tallyman-engine-"))
        self.url = f"unix://{self.folder}/socket"
        self._options, self._secluded = options, secluded
        self._process: subprocess.Popen[bytes] | None = None

    @cached_property
    def api(self) -> docker.APIClient:
        """A client for looking at the engine, and for preparing it; it must be running."""
        api = docker.APIClient(base_url=self.url, version="1.41", timeout=30)
        api.mount("http+docker://", UnixAdapter(f"{self.folder}/socket"))
        vars(api)["_version"] = api.version(api_version=False)["ApiVersion"]
        return api

    @property
    def pid(self) -> int:
        """The pid of dockerd."""
        assert self._process is not None, "the engine was never started"
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether dockerd is alive; a frozen one is."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start dockerd, wait until it answers, and give it the image `busybox:latest`.

        It dies with the thread that started it, so start it in one that lasts.
        """
        (self.folder / "pid").unlink(missing_ok=True)
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*self._program(), *self._arguments()], stdout=log, stderr=log, preexec_fn=_end_with_parent
            )
        wait_until(self._answers_or_died, START_SECONDS, "dockerd to answer")
        if not self.running:
            raise RuntimeError(f"dockerd ended at once:\n{self.log()[-2000:]}")
        busybox.load(self.api)

    def stop(self) -> None:
        """End dockerd as an operator would; without --live-restore, it ends its containers too."""
        self._signal(signal.SIGTERM)
        self._wait()

    def kill(self) -> None:
        """End dockerd at once. Its containers run on, and are ended when it comes back."""
        containerd = self.folder / "exec/containerd/containerd.pid"
        pid = int(containerd.read_text()) if containerd.exists() else 0
        self._signal(signal.SIGKILL)
        self._wait()
        # containerd dies with dockerd. A new dockerd that still finds its pid would wait for it in vain.
        wait_until(lambda: not pid or _is_dead(pid), STOP_SECONDS, "containerd to die")
        containerd.unlink(missing_ok=True)

    def pause(self) -> None:
        """Freeze dockerd: it takes connections, and answers nothing."""
        self._signal(signal.SIGSTOP)
        wait_until(lambda: not self.running or _is_stopped(self.pid), STOP_SECONDS, "every thread to stop")

    def resume(self) -> None:
        """Let a frozen dockerd go on."""
        self._signal(signal.SIGCONT)

    def heal(self) -> None:
        """Whatever was done to it: alive, answering, and without containers and networks of ours."""
        if self.running:
            self.resume()
        else:
            self.start()
        self.clear()

    def clear(self) -> None:
        """Remove every container, and every network that did not come with the engine."""
        for container in self.api.containers(all=True):
            with contextlib.suppress(docker.errors.NotFound):
                self.api.remove_container(container["Id"], force=True, v=True)
        for network in self.api.networks(filters={"type": "custom"}):
            _remove_network(self.api, network["Id"])

    def destroy(self) -> None:
        """End the engine and everything it started, and remove every trace of it."""
        try:
            if self._process is not None:
                self.heal()
                self.stop()
        finally:
            self._close_api()
            self._end_the_rest()
            _unmount_below(self.folder)
            shutil.rmtree(self.folder)

    def log(self) -> str:
        """What dockerd has written."""
        return (self.folder / "log").read_text(errors="replace")

    def _program(self) -> list[str]:
        if not self._secluded:
            return ["dockerd"]
        up = f'{busybox.PROGRAM} ip link set lo up && exec dockerd "$@"'
        return ["unshare", "--net", "sh", "-c", up, "dockerd"]

    def _arguments(self) -> list[str]:
        return [
            f"--data-root={self.folder}/data",
            f"--exec-root={self.folder}/exec",
            f"--pidfile={self.folder}/pid",
            f"--host={self.url}",
            "--bridge=none",
            "--iptables=false",
            "--ip6tables=false",
            "--log-level=warn",
            "--shutdown-timeout=2",
            *self._options,
        ]

    def _answers_or_died(self) -> bool:
        if not self.running:
            return True
        with contextlib.suppress(docker.errors.DockerException, OSError):
            return bool(self.api.ping())
        return False

    def _signal(self, number: signal.Signals) -> None:
        if self.running:
            os.kill(self.pid, number)

    def _wait(self) -> None:
        if self._process is not None:
            self._process.wait(STOP_SECONDS)

    def _close_api(self) -> None:
        api = self.__dict__.pop("api", None)
        if api is not None:
            api.close()

    def _end_the_rest(self) -> None:
        """Kill what a killed dockerd left behind: containerd, shims, and the containers under them."""
        left = [process for process in psutil.process_iter() if self._is_ours(process)]
        left += [child for process in left for child in process.children(recursive=True)]
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(left, timeout=STOP_SECONDS)

    def _is_ours(self, process: psutil.Process) -> bool:
        with contextlib.suppress(psutil.Error):
            named = any(str(self.folder) in argument for argument in process.cmdline())
            return named and process.name().startswith(("dockerd", "containerd"))
        return False


@contextlib.contextmanager
def running_engine(*options: str, secluded: bool = False) -> Iterator[Engine]:
    """An engine of its own, gone without a trace afterwards."""
    engine = Engine(*options, secluded=secluded)
    try:
        engine.start()
        yield engine
    finally:
        engine.destroy()


def free_port() -> int:
    """A TCP port on this machine that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _remove_network(api: docker.APIClient, network_id: str) -> None:
    try:
        api.remove_network(network_id)
    except docker.errors.APIError:
        # A container whose start failed half-way leaves an end in the network, which can never be removed.
        subprocess.run(["ip", "link", "delete", f"br-{network_id[:12]}"], check=False, capture_output=True)


def _is_stopped(pid: int) -> bool:
    """Whether all threads have taken the STOP: one that still runs answers another request."""
    try:
        stats = [stat.read_bytes() for stat in Path(f"/proc/{pid}/task").glob("*/stat")]
    except OSError:  # a thread ended, so not all were stopped
        return False
    return all(stat[stat.rindex(b")") + 2 :].startswith((b"T", b"Z")) for stat in stats)


def _is_dead(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _end_with_parent() -> None:
    # A run of tests that is killed must not leave engines behind; dockerd takes its containers with it.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _unmount_below(folder: Path) -> None:
    mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    for mount in sorted((mount for mount in mounts if mount.startswith(f"{folder}/")), reverse=True):
        subprocess.run(["umount", "--lazy", mount], check=False)
