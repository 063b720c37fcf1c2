"""How an executor declares its settings, so that people get a form with a field for each. Pure.

A declaration is for people only: what is right and wrong in settings is said by `validate_config`, and a
setting that is not declared can still be given as JSON.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

FieldKind = Literal["text", "number", "choice", "flag", "path", "secret", "list"]

# The field of this name is the host's address (`connection_string`).
ADDRESS = "base_url"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigField:
    """One setting.

    `kind`: `path` is a file or folder on the supervisor's machine, `secret` is kept encrypted and never
    shown again, `list` is several texts. `default` is what holds if nothing is said: it is shown, and not
    stored; a `flag` without one may be true, false, or left open. `choices` are the values of a `choice`.
    `is_advanced`: few people need it. `is_multiline`: a secret of several lines, a key say.
    """

    name: str
    label: str
    kind: FieldKind = "text"
    help: str = ""
    required: bool = False
    default: Any = None
    choices: tuple[str, ...] = ()
    is_advanced: bool = False
    is_multiline: bool = False


def unknown(config: Mapping[str, Any], fields: Iterable[ConfigField]) -> list[str]:
    """A sentence for each setting that is none of the fields: it is misspelt, most likely."""
    known = {one.name for one in fields} | {ADDRESS}
    return [
        f"There is no setting {name}. Known are: {', '.join(sorted(known))}."
        for name in sorted(config.keys() - known)
    ]
