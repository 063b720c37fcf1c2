"""An image of this very application, made of what this machine has: its Python, our packages, our code.

It is what the README's Dockerfile makes, for machines that no registry can be reached from.
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path

import docker

from tests.support import busybox

IMAGE = "tallyman-test-app:1"
ROOT = Path(__file__).resolve().parents[2]
_PYTHON, _PACKAGES, _APP = "python", "packages", "app"
# The prefix is reserved, so this cannot come with a job.
SECRET_KEYS = "YW4gaW1hZ2UgbWF5IGhhdmUgaXRzIG93biBrZXlzICE="
_CHANGES = [
    f"ENV TALLYMAN_SECRET_KEYS={SECRET_KEYS}",
    f"ENV PATH=/{_PYTHON}/bin:/bin PYTHONPATH=/{_PACKAGES} LD_LIBRARY_PATH=/lib",
    f"WORKDIR /{_APP}",
    'CMD ["sh"]',
]
_NOT_NEEDED = {"test", "tests", "idlelib", "tkinter", "turtledemo", "ensurepip", "lib2to3", "site-packages"}
_NOT_NEEDED |= {"dist-packages"}
_UTC = Path("/usr/share/zoneinfo/UTC")
_LIBRARY = re.compile(r"^\s*(?:(?P<name>\S+) => )?(?P<path>/\S+) \(0x")


def load(api: docker.APIClient, folder: Path) -> None:
    """Give the engine the image, by way of a file in `folder`."""
    archive = folder / "app.tar"
    try:
        with tarfile.open(archive, "w") as tar:
            _fill(tar)
        repository, tag = IMAGE.split(":")
        api.import_image(str(archive), repository=repository, tag=tag, changes=_CHANGES)
    finally:
        archive.unlink(missing_ok=True)


def _fill(tar: tarfile.TarFile) -> None:
    with tarfile.open(fileobj=io.BytesIO(busybox.archive())) as base:
        for member in base:
            tar.addfile(member, base.extractfile(member) if member.isfile() else None)
    files = {**_python(), **_packages(), **_code()}
    for place, file in files.items():
        tar.add(file, place, recursive=False, filter=_as_root)
    tar.add(_executable(), f"{_PYTHON}/bin/python", filter=_as_root)
    for place, library in _libraries(files.values()).items():
        tar.add(library, place, filter=_as_root)
    if _UTC.is_file():
        tar.add(_UTC.resolve(), str(_UTC).lstrip("/"), filter=_as_root)


def _as_root(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    return member


def _executable() -> Path:
    return Path(getattr(sys, "_base_executable", sys.executable)).resolve()


def _python() -> dict[str, Path]:
    library = Path(sysconfig.get_path("stdlib"))
    place = f"{_PYTHON}/lib/python{sys.version_info.major}.{sys.version_info.minor}"
    return {f"{place}/{file.relative_to(library)}": file for file in _files(library)}


def _files(folder: Path) -> Iterator[Path]:
    """The files that a program at work needs."""
    for entry in folder.iterdir():
        if entry.is_dir():
            # config-* holds what one links C programs with.
            if entry.name not in _NOT_NEEDED and not entry.name.startswith("config-"):
                yield from _files(entry)
        elif entry.suffix != ".a" and ".opt-" not in entry.name and not entry.name.startswith("_tkinter"):
            yield entry


def _packages() -> dict[str, Path]:
    """The project's dependencies, and theirs, as they are installed here."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    todo = [*project["dependencies"], *project["optional-dependencies"]["postgres"]]
    seen: set[str] = set()
    files: dict[str, Path] = {}
    while todo:
        name = re.split(r"[^\w.-]", todo.pop())[0].lower()
        if name in seen:
            continue
        seen.add(name)
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue  # for another platform, or an extra that nobody asked for
        todo += [line for line in distribution.requires or [] if "extra ==" not in line]
        todo += [line for line in distribution.requires or [] if "binary" in line]
        for file in distribution.files or []:
            translation = file.suffix in {".po", ".mo"} and "en" not in file.parts
            if not translation and ".." not in file.parts:
                files[f"{_PACKAGES}/{file}"] = Path(str(distribution.locate_file(file)))
    return files


def _code() -> dict[str, Path]:
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    folders = [ROOT / pattern.rstrip("*") for pattern in packages["find"]["include"]]
    files = [ROOT / "manage.py", *(file for folder in folders for file in _files(folder))]
    return {f"{_APP}/{file.relative_to(ROOT)}": file for file in files}


def _libraries(modules: Iterable[Path]) -> dict[str, Path]:
    """The shared libraries that Python and extension modules need besides, and their loader."""
    binaries = [_executable(), *(file.resolve() for file in modules if ".so" in file.suffixes)]
    told = subprocess.run(["ldd", *binaries], capture_output=True, text=True, check=False).stdout
    found = [match for line in told.splitlines() if (match := _LIBRARY.match(line))]
    return {
        f"lib/{match['name']}" if match["name"] else match["path"].lstrip("/"): Path(match["path"]).resolve()
        for match in found
        if Path(match["path"]).resolve() not in binaries
    }
