"""The clients of AWS, and what their errors mean here.

One client of each service serves all threads, as boto3 allows; it is made with the first call. A call is
tried three times by the client itself, safe for all of ours: the one that starts something has a token.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from hosts.errors import ConfigurationError, DockerConnectionError
from hosts.executors.fargate.configuration import Settings

_TRIES = 3
_CONNECT_SECONDS = 5.0
_POOL = 16
_VALUE = re.compile(r", value: .*?(?=, (?:type|valid))", re.DOTALL)
NOT_SENT = "ParamValidation"  # our code for what boto3 itself refuses to send
MISSING = (
    "The library boto3 is not installed, which the executor 'fargate' needs: pip install 'tallyman[fargate]'"
)


class AwsAnswer(DockerConnectionError):
    """AWS answered with an error. As long as nobody knows what its code means, it proves nothing.

    `code` is `ThrottlingException` say, `said` AWS's own words, `resources` what they are about.
    """

    def __init__(self, name: str, code: str, said: str, resources: tuple[str, ...] = ()) -> None:
        self.code, self.said, self.resources = code, said.strip().rstrip("."), resources
        super().__init__(f"{name}: {self.words}", hint=_hint_for(code))

    @property
    def words(self) -> str:
        """Code and message, in one line."""
        return f"AWS answers {self.code}: {self.said}." if self.said else f"AWS answers {self.code}."


class Clients:
    """Calls of AWS, for all threads. ConfigurationError where boto3 or what it needs is missing."""

    def __init__(self, name: str, settings: Settings, config: Mapping[str, Any]) -> None:
        """`config` is read for credentials; without any, boto3 looks where it always does."""
        self._name, self._settings, self._config = name, settings, config
        self._lock = threading.Lock()
        self._made: dict[str, Any] = {}

    @property
    def region(self) -> str:
        """The region that the clients are of."""
        return str(self._client("ecs").meta.region_name)

    def call(self, service: str, operation: str, **request: Any) -> dict[str, Any]:
        """The answer of an operation of `ecs` or `logs`; AwsAnswer, DockerConnectionError."""
        client = self._client(service)
        from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

        try:
            reply: dict[str, Any] = getattr(client, operation)(**request)
            return reply
        except ClientError as exc:
            error = exc.response.get("Error", {})
            about = tuple(map(str, exc.response.get("resourceIds") or ()))
            raise AwsAnswer(self._name, error.get("Code", ""), error.get("Message", ""), about) from exc
        except ParamValidationError as exc:
            raise AwsAnswer(self._name, NOT_SENT, _without_values(str(exc))) from None
        except BotoCoreError as exc:
            raise DockerConnectionError(f"{self._name}: {exc}", hint=_hint_for(type(exc).__name__)) from exc

    def _client(self, service: str) -> Any:
        with self._lock:
            if service not in self._made:
                self._made[service] = self._make(service)
            return self._made[service]

    def _make(self, service: str) -> Any:
        _require_boto3()
        from botocore.exceptions import BotoCoreError

        try:
            return self._session.client(
                service, endpoint_url=self._settings.endpoint_url, config=self._tuning
            )
        except (BotoCoreError, ValueError) as exc:
            raise ConfigurationError(
                f"{self._name}: no client of AWS can be made: {exc} Check region, profile and endpoint_url."
            ) from exc

    @cached_property
    def _session(self) -> Any:
        import boto3

        return boto3.session.Session(
            aws_access_key_id=self._config.get("aws_access_key_id"),
            aws_secret_access_key=self._config.get("aws_secret_access_key"),
            aws_session_token=self._config.get("aws_session_token"),
            profile_name=self._config.get("profile"),
            region_name=self._settings.region or None,
        )

    @cached_property
    def _tuning(self) -> Any:
        from botocore.config import Config

        return Config(
            connect_timeout=min(_CONNECT_SECONDS, self._settings.timeout / _TRIES),
            read_timeout=self._settings.timeout / _TRIES,
            retries={"mode": "standard", "total_max_attempts": _TRIES},
            max_pool_connections=_POOL,
            user_agent_extra="tallyman",
        )


def _require_boto3() -> None:
    try:
        import boto3  # noqa: F401
    except ImportError as exc:
        raise ConfigurationError(f"{MISSING} ({exc}).") from exc


def _without_values(words: str) -> str:
    """What boto3 says about a request, without what was in it: that may be a secret."""
    return " ".join(_VALUE.sub("", words).split())


def region_of_environment() -> str:
    """The region that the process's environment names."""
    return os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or ""


def _hint_for(code: str) -> str:
    for part, hint in _HINTS.items():
        if part in code:
            return hint
    return ""


_HINTS = {
    "NoCredentials": "Give the supervisor credentials of AWS (environment, profile, or the machine's role).",
    "AccessDenied": "See docs/executors-fargate.md for the permissions that are needed.",
    "PartialCredentials": "Set both: aws_access_key_id among the settings of the host, its secret with "
    "manage_docker_host secret NAME aws_secret_access_key.",
    "UnrecognizedClient": "The credentials are not known to AWS: check the key and its secret.",
    "InvalidSignature": "The secret does not fit the key, or this machine's clock is wrong.",
    "ExpiredToken": "The credentials have expired: renew them.",
    "ClusterNotFound": "Check cluster and region of the host.",
}
