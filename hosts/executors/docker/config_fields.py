"""The settings of Docker hosts, for forms; `endpoint` says what is wrong with them."""

from __future__ import annotations

from hosts.executors.config_fields import ADDRESS, ConfigField

ENGINE = (
    ConfigField(
        name=ADDRESS,
        label="Address",
        help="unix:///var/run/docker.sock, tcp://docker.example.com:2376, ssh://user@host or context://NAME. "
        "Empty: what DOCKER_HOST or Docker's current context says on the supervisor's machine.",
    ),
    ConfigField(
        name="tls_verify",
        label="Verify the engine's certificate",
        kind="flag",
        help="For tcp:// with TLS; it is on as soon as one of the files below is given.",
    ),
    ConfigField(
        name="tls_ca_cert",
        label="Certificate authority",
        kind="path",
        help="The file ca.pem; empty: public ones.",
    ),
    ConfigField(name="tls_client_cert", label="Our certificate", kind="path", help="The file cert.pem."),
    ConfigField(name="tls_client_key", label="Key of our certificate", kind="path", help="The file key.pem."),
    ConfigField(
        name="tls_client_key_pem",
        label="The key itself",
        kind="secret",
        help="Instead of its file: the text of key.pem, kept encrypted.",
        is_multiline=True,
    ),
    ConfigField(
        name="ssh_identity_file",
        label="SSH key",
        kind="path",
        is_advanced=True,
        help="Empty: as ~/.ssh/config says.",
    ),
    ConfigField(name="ssh_known_hosts", label="Known SSH hosts", kind="path", is_advanced=True),
    ConfigField(name="timeout", label="Seconds for a call", kind="number", default=30, is_advanced=True),
    ConfigField(
        name="log_max_size",
        label="Log size at the engine",
        is_advanced=True,
        help="As in 4g: how much of a log the engine keeps. At least twice what templates keep.",
    ),
    ConfigField(
        name="init",
        label="Start containers with an init process",
        kind="flag",
        default=True,
        is_advanced=True,
        help="It buries orphans and passes signals on.",
    ),
)
FIELDS = (
    *ENGINE,
    ConfigField(
        name="pull_connect_timeout",
        label="Seconds until a registry answers",
        kind="number",
        default=60,
        is_advanced=True,
    ),
    ConfigField(
        name="pull_idle_timeout",
        label="Seconds without progress of a pull",
        kind="number",
        default=180,
        is_advanced=True,
    ),
    ConfigField(
        name="pull_total_timeout",
        label="Seconds for a whole pull",
        kind="number",
        default=3600,
        is_advanced=True,
    ),
)
