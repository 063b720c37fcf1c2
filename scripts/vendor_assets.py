"""Copy the browser's libraries from npm into the repository: `python -m scripts.vendor_assets` (needs npm).

No page loads anything from another host, so the files are committed. `vendor.json` beside them says of each
file which package and version it is from, its licence and its SHA-256; a test compares them.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGES = "admin_ui/static/admin_ui/vendor"
TESTS = "tests/browser/vendor"
PACKAGES = {
    "bootstrap": "5.3.9",
    "bootstrap-icons": "1.13.2",
    "idiomorph": "0.8.0",
    "uplot": "1.6.32",
    "axe-core": "4.14.1",
}
# (package, file in it, where it goes)
FILES = (
    ("bootstrap", "dist/css/bootstrap.min.css", PAGES),
    ("bootstrap", "dist/js/bootstrap.bundle.min.js", PAGES),
    ("idiomorph", "dist/idiomorph-ext.min.js", PAGES),
    ("uplot", "dist/uPlot.iife.min.js", PAGES),
    ("uplot", "dist/uPlot.min.css", PAGES),
    ("axe-core", "axe.min.js", TESTS),
)
# The drawings of the icons that pages use; one sprite of them is a thousandth of the whole set.
ICONS = (
    *("activity", "archive", "arrow-clockwise", "arrow-down", "arrow-repeat", "arrow-up", "box-arrow-right"),
    *("boxes", "calendar3", "check-circle", "chevron-down", "chevron-left", "chevron-right", "clipboard"),
    *("clock-history", "cloud", "collection", "copy", "cpu", "diagram-3", "download", "exclamation-triangle"),
    *("eye", "files", "filter", "fullscreen", "gear", "hdd-network", "hourglass-split", "house"),
    *("info-circle", "keyboard", "link-45deg", "list", "list-task", "lock", "memory", "moon-stars", "pause"),
    *("pencil", "play", "plug", "plus-lg", "question-circle", "search", "shield-lock", "sliders"),
    *("speedometer2", "stop", "sun", "terminal", "three-dots", "trash", "x-circle", "x-lg"),
)
SYMBOL = re.compile(r"<svg[^>]*viewBox=\"([^\"]+)\"[^>]*>(.*?)</svg>", re.DOTALL)


def main() -> int:
    """Fetch every package, copy what is used of it, and write down what it is."""
    noted: dict[str, dict[str, dict[str, str]]] = {PAGES: {}, TESTS: {}}
    with tempfile.TemporaryDirectory() as folder:
        for package, version in PACKAGES.items():
            source = _fetch(package, version, Path(folder))
            about = {"package": package, "version": version, "licence": _licence(source)}
            for name, data, target in _wanted(package, source):
                path = ROOT / target / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
                noted[target][name] = {**about, "sha256": hashlib.sha256(data).hexdigest()}
    for target, files in noted.items():
        (ROOT / target / "vendor.json").write_text(json.dumps(files, indent=2, sort_keys=True) + "\n")
    return 0


def _fetch(package: str, version: str, folder: Path) -> Path:
    command = ["npm", "pack", "--silent", f"{package}@{version}"]
    answer = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    with tarfile.open(folder / answer.stdout.split()[-1]) as archive:
        archive.extractall(folder / package, filter="data")
    return folder / package / "package"


def _licence(source: Path) -> str:
    return str(json.loads((source / "package.json").read_text())["license"])


def _wanted(package: str, source: Path) -> list[tuple[str, bytes, str]]:
    if package == "bootstrap-icons":
        return [("icons.svg", _sprite(source / "icons"), PAGES)]
    # Without the comment that names a map of the source: the map is not here.
    return [
        (
            Path(path).name,
            re.sub(rb"\n?/[/*]# sourceMappingURL=[^\n]*", b"", (source / path).read_bytes()),
            target,
        )
        for owner, path, target in FILES
        if owner == package
    ]


def _sprite(folder: Path) -> bytes:
    symbols = []
    for name in ICONS:
        found = SYMBOL.search((folder / f"{name}.svg").read_text())
        assert found, name
        symbols.append(f'<symbol id="{name}" viewBox="{found[1]}">{found[2].strip()}</symbol>')
    return f'<svg xmlns="http://www.w3.org/2000/svg">\n{chr(10).join(symbols)}\n</svg>\n'.encode()


if __name__ == "__main__":
    sys.exit(main())
