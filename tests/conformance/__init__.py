"""What every executor promises, as tests that anybody can run on theirs; `docs/executors.md` says how."""

import pytest

pytest.register_assert_rewrite(
    "tests.conformance.lifecycle", "tests.conformance.logs", "tests.conformance.manners"
)
