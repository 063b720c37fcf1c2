"""The one image that tests run: BusyBox, imported into an engine from the program on this machine."""

from __future__ import annotations

import io
import subprocess
import tarfile
from functools import cache
from pathlib import Path

import docker

IMAGE = "busybox:latest"
PROGRAM = Path("/bin/busybox")
_FOLDERS = {"bin": 0o755, "etc": 0o755, "root": 0o700, "tmp": 0o1777, "var": 0o755}
_USERS = b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"


def load(api: docker.APIClient) -> None:
    """Give the engine the image, unless it has one of that name."""
    if not api.images(name=IMAGE, quiet=True):
        api.import_image_from_data(archive(), repository="busybox", tag="latest", changes=['CMD ["sh"]'])


@cache
def archive() -> bytes:
    """The image's file system, as a tar file."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, mode in _FOLDERS.items():
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, mode
            tar.addfile(folder)
        tar.add(PROGRAM, "bin/busybox")
        for name in _applets():
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
        users = tarfile.TarInfo("etc/passwd")
        users.size = len(_USERS)
        tar.addfile(users, io.BytesIO(_USERS))
    return buffer.getvalue()


def _applets() -> list[str]:
    listed = subprocess.run([PROGRAM, "--list"], capture_output=True, text=True, check=True).stdout
    return [name for name in listed.split() if name != "busybox"]
