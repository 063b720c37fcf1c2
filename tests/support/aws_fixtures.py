"""AWS on this machine, for tests of several packages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.support.aws import Aws


@pytest.fixture(scope="session")
def aws_server() -> Iterator[Aws]:
    """One server for all tests of the process."""
    from tests.support.aws import Aws  # takes a second, and few tests need it

    aws = Aws()
    yield aws
    aws.close()


@pytest.fixture
def aws(aws_server: Aws, monkeypatch: Any) -> Aws:
    """An empty account, and no word of another one in the environment."""
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    aws_server.reset()
    return aws_server
