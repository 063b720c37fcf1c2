"""What the browser loads is in the repository, and is what it says that it is."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = (ROOT / "admin_ui/static/admin_ui/vendor", ROOT / "tests/browser/vendor")
ELSEWHERE = re.compile(r"""(?:src|href|url\()\s*=?\s*["']?(?:https?:)?//""")


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.parent.name)
def test_every_vendored_file_is_noted_with_version_licence_and_hash(folder: Path) -> None:
    noted = json.loads((folder / "vendor.json").read_text())
    assert set(noted) == {path.name for path in folder.iterdir()} - {"vendor.json"}
    for name, about in noted.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == about["sha256"], name
        assert about["version"]
        assert about["licence"]


def test_no_page_loads_anything_from_another_host() -> None:
    ours = [
        path
        for folder in ("admin_ui", "healthcheck")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in (".html", ".css", ".js") and "vendor" not in path.parts
    ]
    assert ours
    assert [path for path in ours if ELSEWHERE.search(path.read_text())] == []
