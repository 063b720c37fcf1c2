"""What ECS says when it starts nothing, in our words. Pure.

Sources: Amazon ECS Developer Guide, "Stopped tasks error messages" and "API failure reasons".
"""

from __future__ import annotations

import re
from typing import NamedTuple

from hosts.errors import ContainerExecutionError, LaunchFailed
from hosts.executors.fargate.clients import NOT_SENT, AwsAnswer

NOT_EXECUTABLE, NOT_FOUND = 126, 127
PERMISSIONS = "See docs/executors-fargate.md for the permissions that are needed."


class _Meaning(NamedTuple):
    pattern: str
    failure_class: str
    hint: str
    is_final: bool = False  # the same again would come to the same
    exit_code: int | None = None


_NAME = "Check the name and the tag of docker_image."
# In the order in which ECS's words are looked through.
_MEANINGS = (
    _Meaning(
        r"capacity is unavailable|^resource:|no fargate capacity|capacityprovider|quota of tasks in the prov",
        "capacity",
        "AWS has no room just now: more subnets (in other zones), or another host, make it less likely.",
    ),
    _Meaning(
        r"concurrent task|reached the limit|limit on the number|vcpu limit|limitexceeded|quota",
        "capacity",
        "The account's quota is reached: raise it, or lower max_concurrent_jobs of the host.",
    ),
    _Meaning(
        r"toomanyrequests|too many requests|rate limit|rate exceeded",
        "rate_limited",
        "Wait, set repository_credentials of the host, or use a mirror of the registry.",
    ),
    _Meaning(
        r"cannotpull.*(manifest unknown|not found|does not exist|name unknown|manifest does not)",
        "image_not_found",
        _NAME,
        is_final=True,
    ),
    _Meaning(
        r"cannotpull.*(descriptor matching platform|no matching manifest|exec format)",
        "image_platform",
        "The image has no build for cpu_architecture of the host.",
        is_final=True,
    ),
    _Meaning(
        r"cannotpull.*(pull access denied|unauthorized|denied|no basic auth|forbidden)",
        "image_denied",
        f"{_NAME} The execution role must be allowed to pull it; for registries other than ECR set "
        "repository_credentials of the host.",
        is_final=True,
    ),
    _Meaning(r"cannotpull.*no space left", "disk_full", "Set ephemeral_storage_gib of the host."),
    _Meaning(
        r"cannotpull",
        "registry_unreachable",
        "Check whether the subnets reach the registry: a NAT gateway, assign_public_ip, or VPC endpoints.",
    ),
    _Meaning(
        r"cannotstart.*(executable file not found|no such file or directory)",
        "command_not_found",
        "Check the command, and the PATH of the image.",
        is_final=True,
        exit_code=NOT_FOUND,
    ),
    _Meaning(
        r"cannotstart.*(permission denied|is a directory|exec format error)",
        "command_not_executable",
        "Check the command; what it names is a directory, or lacks the right to be run.",
        is_final=True,
        exit_code=NOT_EXECUTABLE,
    ),
    _Meaning(
        r"spotinterruption|spot task",
        "capacity",
        "AWS took the Spot capacity back before it started; capacity_provider FARGATE is not taken back.",
    ),
    _Meaning(
        r"resourceinitialization|network interface|timeout waiting",
        "not_started",
        "Check the subnets' way to AWS (NAT gateway, assign_public_ip, or VPC endpoints), the execution "
        "role, and that the log group is there.",
    ),
    _Meaning(r"accessdenied|not authorized|passrole|unable to assume", "permission_denied", PERMISSIONS),
)
_OTHERWISE = _Meaning("", "not_started", "Look at the stopped task in the console of ECS.")


def refusal(words: str) -> ContainerExecutionError:
    """The error for a task of which ECS proved that nothing was started.

    What may be otherwise the next time, and is nothing in the job, is a LaunchFailed.
    """
    said = words.lower()
    meaning = next((one for one in _MEANINGS if re.search(one.pattern, said, re.DOTALL)), _OTHERWISE)
    if meaning.is_final:
        return ContainerExecutionError(
            words, failure_class=meaning.failure_class, hint=meaning.hint, exit_code=meaning.exit_code
        )
    return LaunchFailed(words, failure_class=meaning.failure_class, hint=meaning.hint)


# Codes of AWS that say that a request was looked at and refused, so that nothing came of it.
_REFUSING = {
    NOT_SENT,
    "AccessDeniedException",
    "BlockedException",
    "ClientException",
    "ClusterNotFoundException",
    "ExpiredTokenException",
    "InvalidParameterException",
    "InvalidSignatureException",
    "LimitExceededException",
    "PlatformTaskDefinitionIncompatibilityException",
    "PlatformUnknownException",
    "UnrecognizedClientException",
    "UnsupportedFeatureException",
    "ValidationException",
}
_OF_THE_JOB = {NOT_SENT, "ClientException", "InvalidParameterException"}


def refused_run(answer: AwsAnswer) -> ContainerExecutionError | None:
    """The error for a RunTask that AWS refused, which is the host's matter; None where nothing is proved."""
    if answer.code == NOT_SENT:
        return ContainerExecutionError(answer.words, failure_class="bad_spec", hint="Correct the job.")
    if answer.code not in _REFUSING:
        return None
    known = refusal(answer.words)
    if isinstance(known, LaunchFailed) and known.failure_class != _OTHERWISE.failure_class:
        return known
    hint = answer.hint or "Check the settings of the host."
    return LaunchFailed(answer.words, failure_class="start_refused", hint=hint)


def refused_definition(answer: AwsAnswer) -> ContainerExecutionError | None:
    """The error for a task definition that AWS refused; None where nothing is proved."""
    if answer.code not in _REFUSING:
        return None
    known = refusal(answer.words)
    if answer.code not in _OF_THE_JOB or known.failure_class in {"permission_denied", "rate_limited"}:
        return LaunchFailed(answer.words, failure_class=known.failure_class, hint=answer.hint or known.hint)
    return ContainerExecutionError(
        answer.words,
        failure_class="create_refused",
        hint="Correct the template, or the settings of the host.",
    )
