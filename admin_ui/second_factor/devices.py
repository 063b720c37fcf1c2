"""The authenticator app of a user, and the recovery codes beside it."""

from __future__ import annotations

from base64 import b32encode
from typing import Any

import segno
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import SafeString, mark_safe
from django_otp import devices_for_user, login, verify_token
from django_otp.plugins.otp_static.models import StaticDevice, StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice

from admin_ui.second_factor import DUE
from audit import acts
from audit.entries import Entry

APP, RECOVERY = "authenticator app", "recovery codes"
CODES = 10
_DIGITS = 6


def _record(verb: str, user: Any) -> None:
    """In the transaction of what is done."""
    acts.record(Entry(verb=verb, kind="user", key=str(user.pk), label=str(user)))


def app_of(user: Any) -> TOTPDevice | None:
    """The app that the user has set up; None if there is none."""
    return TOTPDevice.objects.filter(user=user, confirmed=True).first()


def app_to_set_up(user: Any) -> TOTPDevice:
    """The one that is not confirmed yet, with a key of its own."""
    with transaction.atomic():
        device, _ = TOTPDevice.objects.get_or_create(user=user, confirmed=False, defaults={"name": APP})
    return device


def picture(device: TOTPDevice) -> SafeString:
    """The key as a QR code, made here: no other site ever sees it. No style or script is in it."""
    code = segno.make(device.config_url, error="m")
    svg = code.svg_inline(scale=4, dark="#000", light="#fff", border=4, title="QR code", omitsize=True)
    return mark_safe(svg)  # of figures that segno has drawn


def words(device: TOTPDevice) -> str:
    """The key for those who type it, in groups of four."""
    key = b32encode(device.bin_key).decode()
    return " ".join(key[place : place + 4] for place in range(0, len(key), 4))


def confirm(request: HttpRequest, user: Any, code: str) -> list[str]:
    """Take the app into use with a first code from it; its recovery codes, none if the code is wrong."""
    device = app_to_set_up(user)
    with transaction.atomic():
        if verify_token(user, device.persistent_id, code) is None:
            return []
        _record("second_factor.set_up", user)
        TOTPDevice.objects.filter(pk=device.pk).update(confirmed=True)
        TOTPDevice.objects.filter(user=user).exclude(pk=device.pk).delete()
        codes = _fresh_codes(user)
    device.confirmed = True
    _give(request, user, device)
    return codes


def check(request: HttpRequest, user: Any, code: str) -> bool:
    """Whether the code is one of the app's or a recovery code, which is used up by that; if so, go on."""
    code = code.strip().replace(" ", "").lower()
    for device in list(devices_for_user(user)):
        # Each is tried by how long its codes are, so that a wrong one does not make both wait.
        is_app = isinstance(device, TOTPDevice)
        if is_app == (len(code) == _DIGITS) and verify_token(user, device.persistent_id, code):
            _give(request, user, device)
            return True
    return False


def wait_seconds(user: Any) -> int:
    """How long no code is taken, after wrong ones; 0: not at all."""
    waits = [0]
    for device in devices_for_user(user):
        allowed, details = device.verify_is_allowed()
        if not allowed and details and (until := details.get("locked_until")):
            waits.append(int((until - timezone.now()).total_seconds()) + 1)
    return max(waits)


def new_codes(user: Any) -> list[str]:
    """Fresh recovery codes; those from before are worth nothing from now on."""
    with transaction.atomic():
        _record("second_factor.new_codes", user)
        return _fresh_codes(user)


def _fresh_codes(user: Any) -> list[str]:
    with transaction.atomic():
        # The device stays: a login that was let in by one of its codes goes on.
        device, _ = StaticDevice.objects.get_or_create(user=user, name=RECOVERY)
        device.token_set.all().delete()
        codes = [StaticToken.random_token() for _ in range(CODES)]
        StaticToken.objects.bulk_create(StaticToken(device=device, token=code) for code in codes)
    return codes


def codes_left(user: Any) -> int:
    """How many recovery codes have not been used."""
    count: int = StaticToken.objects.filter(device__user=user, device__confirmed=True).count()
    return count


def remove(request: HttpRequest, user: Any) -> None:
    """Take the app and its codes away; the login goes on without."""
    with transaction.atomic():
        _record("second_factor.remove", user)
        TOTPDevice.objects.filter(user=user).delete()
        StaticDevice.objects.filter(user=user).delete()
    request.session.pop(DUE, None)
    request.session.pop("otp_device_id", None)


def _give(request: HttpRequest, user: Any, device: Any) -> None:
    # What was known of the session before the code was given opens nothing after it.
    request.session.cycle_key()
    request.session[DUE] = True
    request.user = user
    login(request, device)
