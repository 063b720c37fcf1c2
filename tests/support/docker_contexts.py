"""Docker's own configuration, for tests of what it says."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path


def make_context(folder: Path, name: str, **engine: object) -> Path:
    """A context as `docker context create` leaves it; the folder of its certificates."""
    key = hashlib.sha256(name.encode()).hexdigest()
    meta = folder / "contexts" / "meta" / key / "meta.json"
    meta.parent.mkdir(parents=True)
    meta.write_text(json.dumps({"Name": name, "Metadata": {}, "Endpoints": {"docker": engine}}))
    tls = folder / "contexts" / "tls" / key / "docker"
    tls.mkdir(parents=True)
    return tls
