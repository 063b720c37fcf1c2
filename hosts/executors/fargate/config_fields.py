"""The settings of Fargate hosts, for forms; `configuration` says what is wrong with them."""

from __future__ import annotations

from hosts.executors.config_fields import ConfigField

FIELDS = (
    ConfigField(name="cluster", label="Cluster", required=True, help="Its name or ARN."),
    ConfigField(
        name="subnets",
        label="Subnets",
        kind="list",
        required=True,
        help="Ids, one a line; several zones make a lack of capacity rarer.",
    ),
    ConfigField(
        name="security_groups",
        label="Security groups",
        kind="list",
        help="Ids, one a line; empty: the VPC's own.",
    ),
    ConfigField(
        name="region", label="Region", help="Empty: as the cluster's ARN, AWS_REGION or the profile says."
    ),
    ConfigField(
        name="execution_role_arn",
        label="Execution role",
        help="The ARN of what ECS pulls images and writes logs with.",
    ),
    ConfigField(name="task_role_arn", label="Task role", help="The ARN of what the jobs' programs may do."),
    ConfigField(
        name="assign_public_ip",
        label="Public address",
        kind="choice",
        choices=("DISABLED", "ENABLED"),
        default="DISABLED",
        help="ENABLED where the subnets have no NAT gateway and no VPC endpoints.",
    ),
    ConfigField(
        name="aws_access_key_id",
        label="Access key id",
        help="Empty: what the supervisor's machine has (environment, profile, role).",
    ),
    ConfigField(name="aws_secret_access_key", label="Secret access key", kind="secret"),
    ConfigField(name="aws_session_token", label="Session token", kind="secret", is_advanced=True),
    ConfigField(name="profile", label="Profile", is_advanced=True, help="Of the shared AWS configuration."),
    ConfigField(
        name="endpoint_url",
        label="Address",
        is_advanced=True,
        help="Another address for all calls; empty: that of AWS.",
    ),
    ConfigField(name="platform_version", label="Platform version", default="LATEST", is_advanced=True),
    ConfigField(
        name="capacity_provider",
        label="Capacity",
        kind="choice",
        choices=("FARGATE", "FARGATE_SPOT"),
        is_advanced=True,
    ),
    ConfigField(
        name="cpu_architecture",
        label="Architecture",
        kind="choice",
        choices=("X86_64", "ARM64"),
        default="X86_64",
        is_advanced=True,
    ),
    ConfigField(
        name="default_cpu",
        label="CPUs of jobs that do not say",
        kind="number",
        default=0.25,
        is_advanced=True,
    ),
    ConfigField(
        name="default_memory",
        label="MB of memory of jobs that do not say",
        kind="number",
        default=512,
        is_advanced=True,
    ),
    ConfigField(
        name="ephemeral_storage_gib",
        label="Disk in GiB",
        kind="number",
        is_advanced=True,
        help="21 to 200; empty: the 20 of Fargate.",
    ),
    ConfigField(name="log_group", label="Log group", default="/tallyman", is_advanced=True),
    ConfigField(
        name="log_stream_prefix", label="Prefix of log streams", default="tallyman", is_advanced=True
    ),
    ConfigField(name="timeout", label="Seconds for a call", kind="number", default=30, is_advanced=True),
    ConfigField(
        name="poll_seconds",
        label="Seconds between looks at tasks",
        kind="number",
        default=5,
        is_advanced=True,
    ),
    ConfigField(
        name="settle_seconds",
        label="Seconds until an unlisted task was never started",
        kind="number",
        default=60,
        is_advanced=True,
    ),
    ConfigField(
        name="log_settle_seconds",
        label="Seconds that last lines may be late",
        kind="number",
        default=10,
        is_advanced=True,
    ),
    ConfigField(
        name="log_requests_per_second",
        label="Reads of logs a second",
        kind="number",
        default=8,
        is_advanced=True,
    ),
)
