"""What can be run: image, command, limits, environment, networks."""

from __future__ import annotations

from decimal import Decimal

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models.functions import Now

from hosts.executors import option_reader
from hosts.fields import EncryptedTextField
from hosts.ids import new_id
from hosts.labels import validate_wanted_labels
from hosts.secret_stores.registry import LONGEST_REFERENCE
from jobs import allowed, validators, variables
from jobs.validators import OptionValidator

DEFAULT_MAX_LOG_BYTES = 1024**3
MIN_LOG_BYTES = 1024**2


# Where its jobs may run, or how many of them at once, is not all the same. Each claim asks for such templates
# (`jobs.kinds`), nearly always in vain.
_IS_PARTICULAR = (
    models.Q(memory_limit__isnull=False)
    | models.Q(cpu_limit__isnull=False)
    | models.Q(max_concurrent__isnull=False)
    | models.Q(limit_key__gt="")
    | models.Q(required_executor__gt="")
    | ~models.Q(required_labels={})
    | ~models.Q(preferred_labels={})
)


class PullPolicy(models.TextChoices):
    """When the image is brought to the engine before a launch."""

    IF_NOT_PRESENT = "if-not-present", "If the engine does not have it"
    ALWAYS = "always", "Before every launch"
    NEVER = "never", "Never: the engine must have it"


class ContainerTemplate(models.Model):
    """A reusable definition. It is frozen onto the attempt when a job is claimed."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    name = models.CharField(max_length=100, unique=True)
    description = models.TextField(blank=True, default="", db_default="")
    docker_image = models.CharField(max_length=500, validators=[validators.validate_no_nul])
    command = models.TextField(
        blank=True,
        default="",
        db_default="",
        validators=[validators.validate_command],
        help_text="Shell words; empty: the image's own command. Use sh -c '...' for pipes and &&.",
    )
    entrypoint = models.TextField(
        blank=True,
        default="",
        db_default="",
        validators=[validators.validate_command, OptionValidator("entrypoint")],
        help_text="Shell words that stand before the command; empty: the image's own.",
    )
    user = models.CharField(
        max_length=100,
        blank=True,
        default="",
        db_default="",
        validators=[OptionValidator("user")],
        help_text="By number, perhaps with a group, as in 1000 or 1000:100; by name only where the host "
        "allows root. Empty: the image's own.",
    )
    working_directory = models.CharField(
        max_length=500, blank=True, default="", db_default="", validators=[validators.validate_no_nul]
    )
    container_labels = models.JSONField(
        default=dict,
        blank=True,
        db_default={},
        validators=[OptionValidator("container_labels")],
        help_text='Labels of its containers, as in {"team": "billing"}; tallyman. begins our own.',
    )
    volumes = models.JSONField(
        default=list,
        blank=True,
        db_default=[],
        validators=[OptionValidator("volumes")],
        help_text='Volumes by name, and paths that the host lets containers mount: ["cache:/cache", '
        '"/srv/data:/data:ro"].',
    )
    tmpfs = models.JSONField(
        default=dict,
        blank=True,
        db_default={},
        validators=[OptionValidator("tmpfs")],
        help_text='Places in memory, as in {"/tmp": "size=64m,mode=1777"}; they count as memory used.',
    )
    extra_hosts = models.JSONField(
        default=dict,
        blank=True,
        db_default={},
        validators=[OptionValidator("extra_hosts")],
        help_text='Lines of /etc/hosts, as in {"db": "10.0.0.5", "machine": "host-gateway"}.',
    )
    ports = models.JSONField(
        default=list,
        blank=True,
        db_default=[],
        validators=[OptionValidator("ports")],
        help_text='What the host opens: ["8080"] takes a free port, ["127.0.0.1:9000:80/udp"] this one.',
    )
    resources = models.JSONField(
        default=dict,
        blank=True,
        db_default={},
        validators=[OptionValidator("resources")],
        help_text='As in {"swap_mb": 256, "pids": 512, "shm_mb": 128, "ulimits": {"nofile": [1024, 4096]}, '
        '"gpus": "all"}. swap_mb comes on top of the memory limit (-1: no limit); gpus may be a number or '
        "a list of ids.",
    )
    security = models.JSONField(
        default=dict,
        blank=True,
        db_default={},
        validators=[OptionValidator("security")],
        help_text='As in {"read_only": true, "cap_add": ["CHOWN"], "init": true}. All capabilities are '
        'dropped but those in cap_add ("cap_drop": [] keeps the usual ones). If the policy of the host '
        'allows it, too: "privileged", "host_pid", "no_new_privileges": false, "devices": ["/dev/fuse"], '
        "and other capabilities.",
    )
    memory_limit = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(64)],
        help_text="MB, at least 64; empty: no limit.",
    )
    cpu_limit = models.DecimalField(
        null=True,
        blank=True,
        max_digits=4,
        decimal_places=2,
        validators=[MinValueValidator(Decimal("0.1")), MaxValueValidator(32)],
        help_text="Cores, 0.1 to 32.0; empty: no limit.",
    )
    required_executor = models.CharField(
        max_length=20,
        blank=True,
        default="",
        db_default="",
        help_text="The kind of host that it needs, docker or cloudrun say; empty: any.",
    )
    required_labels = models.JSONField(
        default=dict,
        blank=True,
        db_default={},
        validators=[validate_wanted_labels],
        help_text='Hosts with all these labels only: {"gpu": "a100"}; one of some: {"zone": ["eu", "us"]}.',
    )
    preferred_labels = models.JSONField(
        default=dict,
        blank=True,
        db_default={},
        validators=[validate_wanted_labels],
        help_text="Hosts with more of these labels go first, before heavier ones.",
    )
    max_concurrent = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="How many of its jobs may run at once on all hosts together; empty: no limit.",
    )
    limit_key = models.CharField(
        max_length=100,
        blank=True,
        default="",
        db_default="",
        validators=[validators.validate_no_nul],
        help_text="The name of a concurrency limit that its jobs share with others of the same key.",
    )
    timeout_seconds = models.PositiveIntegerField(
        default=3600,
        db_default=3600,
        validators=[MinValueValidator(1)],
        help_text="From the start of the container.",
    )
    stop_grace_seconds = models.PositiveIntegerField(
        default=10,
        db_default=10,
        validators=[MaxValueValidator(3600)],
        help_text="How long a container has between the stop signal and KILL.",
    )
    stop_signal = models.CharField(
        max_length=20,
        default="SIGTERM",
        db_default="SIGTERM",
        validators=[validators.validate_signal],
        help_text="What asks the container to end, SIGTERM or SIGINT say; KILL follows after the grace.",
    )
    start_deadline_seconds = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="How long a job may wait for its first start before it fails; empty: for ever.",
    )
    pull_policy = models.CharField(
        max_length=14,
        choices=PullPolicy,
        default=PullPolicy.IF_NOT_PRESENT,
        db_default=PullPolicy.IF_NOT_PRESENT.value,
    )
    tty = models.BooleanField(
        default=False,
        db_default=False,
        help_text="Give the container a terminal: its output is one stream, with the terminal's line ends.",
    )
    max_log_bytes = models.BigIntegerField(
        default=DEFAULT_MAX_LOG_BYTES,
        db_default=DEFAULT_MAX_LOG_BYTES,
        validators=[MinValueValidator(MIN_LOG_BYTES)],
        help_text="Of a log longer than this, its head and its tail are kept, and the size of the gap.",
    )
    max_attempts = models.PositiveIntegerField(
        default=1, db_default=1, validators=[MinValueValidator(1), MaxValueValidator(100)]
    )
    retry_on = models.JSONField(
        default=list,
        blank=True,
        db_default=[],
        validators=[validators.validate_retry_on],
        help_text='What is run again, up to max_attempts: "user", "oom", "timeout", "interrupted", "lost".',
    )
    retry_delay_seconds = models.PositiveIntegerField(
        default=1,
        db_default=1,
        validators=[MaxValueValidator(86_400)],
        help_text="The wait before the second attempt; it doubles with each one after, give or take 25 %.",
    )
    retry_max_delay_seconds = models.PositiveIntegerField(
        default=300,
        db_default=300,
        validators=[MaxValueValidator(604_800)],
        help_text="No wait is longer than this.",
    )
    infra_retries = models.PositiveIntegerField(
        default=3,
        db_default=3,
        validators=[MaxValueValidator(100)],
        help_text="How often a launch that the engine could not start is tried again (2, 8, 30, 30 ... s).",
    )
    archived_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ("name",)
        indexes = [models.Index(fields=["id"], condition=_IS_PARTICULAR, name="template_particular")]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(memory_limit=None) | models.Q(memory_limit__gte=64),
                name="template_memory_limit_at_least_64",
            ),
            models.CheckConstraint(
                condition=models.Q(cpu_limit=None) | models.Q(cpu_limit__range=("0.1", "32")),
                name="template_cpu_limit_0_1_to_32",
            ),
            models.CheckConstraint(
                condition=models.Q(timeout_seconds__gte=1), name="template_timeout_at_least_1"
            ),
            models.CheckConstraint(
                condition=models.Q(max_attempts__range=(1, 100)), name="template_max_attempts_1_to_100"
            ),
            models.CheckConstraint(
                condition=models.Q(stop_grace_seconds__lte=3600), name="template_stop_grace_at_most_3600"
            ),
            models.CheckConstraint(
                condition=models.Q(pull_policy__in=PullPolicy.values), name="template_pull_policy_known"
            ),
            models.CheckConstraint(
                condition=models.Q(max_log_bytes__gte=MIN_LOG_BYTES),
                name="template_max_log_bytes_at_least_1_mib",
            ),
            models.CheckConstraint(
                condition=~models.Q(docker_image=""), name="template_docker_image_not_empty"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Refuse fields that do not go together, and what no host allows."""
        validators.validate_options(
            {name: getattr(self, name) for name in option_reader.FIELDS}, memory_limit=self.memory_limit
        )
        if problem := allowed.by_no_host(self):
            raise ValidationError(problem)


class EnvironmentVariable(models.Model):
    """One variable of a template. Every value is encrypted at rest; a secret one is never shown."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    template = models.ForeignKey(
        ContainerTemplate, on_delete=models.CASCADE, related_name="environment_variables"
    )
    key = models.CharField(max_length=200, validators=[validators.validate_environment_name])
    value = EncryptedTextField(blank=True, default="", db_default="", validators=[validators.validate_no_nul])
    is_secret = models.BooleanField(default=False, db_default=False)
    reference = models.CharField(
        max_length=LONGEST_REFERENCE,
        blank=True,
        default="",
        db_default="",
        validators=[variables.validate_reference],
        help_text="Instead of a value: where the worker finds it at each launch, as in "
        "vault:secret/app/db#password, file:/run/credentials/db or env:JOB_PASSWORD.",
    )
    as_file = models.BooleanField(
        "as a file",
        default=False,
        db_default=False,
        help_text="The container finds it in /run/secrets/NAME, in memory, and NAME_FILE says so.",
    )
    # Of a secret: when and by whom its value was given.
    set_at = models.DateTimeField(null=True, blank=True, editable=False)
    set_by = models.CharField(max_length=150, blank=True, default="", db_default="", editable=False)

    class Meta:
        ordering = ("key",)
        constraints = [
            models.UniqueConstraint(fields=["template", "key"], name="environment_variable_once_a_template"),
        ]

    def __str__(self) -> str:
        return self.key

    @property
    def is_hidden(self) -> bool:
        """Whether its value is nobody's business, whether it is kept here or elsewhere."""
        return self.is_secret or bool(self.reference)

    def clean(self) -> None:
        """Refuse what cannot be both."""
        if self.reference and self.value:
            raise ValidationError({"reference": "Give a value or a reference, not both."})
        if self.as_file and not self.is_hidden:
            raise ValidationError({"as_file": "Only a secret, or a reference to one, can be a file."})


class NetworkAssignment(models.Model):
    """One network that the template's containers join; the engine must have it."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    template = models.ForeignKey(
        ContainerTemplate, on_delete=models.CASCADE, related_name="network_assignments"
    )
    network_name = models.CharField(max_length=200, validators=[validators.validate_network])
    aliases = models.JSONField(
        default=list, blank=True, db_default=[], validators=[validators.validate_aliases]
    )

    class Meta:
        ordering = ("network_name",)
        constraints = [
            models.UniqueConstraint(
                fields=["template", "network_name"], name="network_assignment_once_a_template"
            ),
        ]

    def __str__(self) -> str:
        return self.network_name

    def clean(self) -> None:
        """Refuse a network that no host allows."""
        problem = self.template_id and allowed.network_by_no_host(self.template, self.network_name)
        if problem:
            raise ValidationError({"network_name": problem})
