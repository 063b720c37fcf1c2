"""What is said of an audit of the packages: above all that there was none, where there was none."""

from __future__ import annotations

import pytest

from scripts.audit import judged

SOUND = {"dependencies": [{"name": "a", "version": "1", "vulns": []}]}
WEAK = {"dependencies": [{"name": "a", "version": "1", "vulns": [{"id": "CVE-1", "fix_versions": ["1.1"]}]}]}
SKIPPED = {"dependencies": [{"name": "a", "skip_reason": "not found"}, *SOUND["dependencies"]]}


@pytest.mark.parametrize(
    ("answer", "words", "code", "strictly"),
    [
        (SOUND, "nothing is known against any pinned package", 0, 0),
        (WEAK, "base.txt: a 1: CVE-1, mended in 1.1", 1, 1),
        (SKIPPED, "NOT AUDITED: base.txt: 1 of 2 packages, 'not found' and so on", 0, 1),
        ("no name resolution", "NOT AUDITED: base.txt: no name resolution", 0, 1),
    ],
)
def test_what_was_not_asked_is_not_called_sound(answer, words, code, strictly):
    assert judged({"base.txt": answer}, is_required=False) == ([words], code)
    assert judged({"base.txt": answer}, is_required=True) == ([words], strictly)
