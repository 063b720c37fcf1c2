"""A second factor beside the password: codes of an authenticator app (TOTP), and recovery codes.

Off as usual; TALLYMAN_TWO_FACTOR says `optional` (who has set one up is asked for it) or `required`. Keys and
codes are django-otp's, which is imported only where it is on: nothing else needs it.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings

# In the session: a code is due, and which device gave one (django-otp's own name).
DUE = "second_factor_due"
_DEVICE = "otp_device_id"


def is_on() -> bool:
    """Whether there are second factors in this installation."""
    on: bool = settings.TALLYMAN_TWO_FACTOR != "off"
    return on


def is_required() -> bool:
    """Whether nobody gets in without one."""
    required: bool = settings.TALLYMAN_TWO_FACTOR == "required"
    return required


def begin(session: Any, user: Any) -> None:
    """Note whether a login waits for a code."""
    if not is_on():
        return
    from django_otp import user_has_device

    session[DUE] = is_required() or user_has_device(user)


def is_given(session: Any, user: Any) -> bool:
    """Whether a session may go on as the user's: no code is due, or one was given."""
    if not is_on() or not (is_required() or session.get(DUE)):
        return True
    identity = session.get(_DEVICE)
    if not identity:
        return False
    from django_otp.models import Device

    device = Device.from_persistent_id(identity)
    return device is not None and device.user_id == user.pk and bool(device.confirmed)
