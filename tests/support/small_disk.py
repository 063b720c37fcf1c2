"""A file system of a few megabytes that a test may fill, and make room on again."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.support.requirements import missing


class SmallDisk:
    """Mounted at `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def fill(self) -> None:
        """Until not a byte more can be written."""
        with contextlib.suppress(OSError), (self.path / "fill").open("wb", buffering=0) as file:
            while file.write(bytes(1 << 16)):
                pass

    def make_room(self) -> None:
        """Take away what filled it."""
        (self.path / "fill").unlink(missing_ok=True)


@contextlib.contextmanager
def mounted(path: Path, *, megabytes: int, name: str) -> Iterator[SmallDisk]:
    """One in memory at this new directory. `name` is what needs it, should none be mountable here."""
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0755", "tmpfs", str(path)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        missing(name, "no file system can be mounted here")
    try:
        yield SmallDisk(path)
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)
        path.rmdir()
