"""Which images a host may run, and which policies can be read. Pure."""

from __future__ import annotations

import pytest

from hosts import policy
from hosts.policy import image_allowed

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("pattern", "image", "allowed"),
    [
        ("*", "registry.example/a/b:1", True),
        ("**", "cafe", True),
        ("busybox", "busybox", True),
        ("busybox", "busybox:1.36", True),
        ("busybox", f"docker.io/library/busybox@{DIGEST}", True),
        ("busybox", "index.docker.io/busybox", True),
        ("busybox", "evil/busybox", False),
        ("busybox", "busyboxx", False),
        ("busybox", "registry.example/busybox", False),
        ("busybox:1.*", "busybox:1.36", True),
        ("busybox:1.*", "busybox", False),
        ("busybox:1.36", f"busybox:1.36@{DIGEST}", False),
        (f"busybox@{DIGEST}", f"busybox:1.36@{DIGEST}", True),
        ("team/*", "team/app", True),
        ("team/*", f"team/app@{DIGEST}", True),
        ("team/*", "team/sub/app", False),
        ("r.example:5000/team/*", "r.example:5000/team/app:1", True),
        ("r.example:5000/team/*", "r.example/team/app:1", False),
        ("r.example/**", "r.example/a/b:1", True),
        ("r.example/**", "r.example.evil/a", False),
        ("r.example/**", "docker.io/r.example/a", False),
        ("localhost/*", "localhost/x:1", True),
        ("r?example/a", "rxexample/a", False),
        # The engine may take these for ids of images with any name.
        ("library/*", "cafe", False),
        ("library/*", "cafe:latest", True),
        ("library/*", DIGEST, False),
        ("library/*", "", False),
    ],
)
def test_an_image_is_allowed_if_a_pattern_takes_its_whole_name(pattern, image, allowed):
    assert image_allowed({"images": ["unrelated", pattern]}, image) is allowed


def test_without_a_list_every_image_is_allowed_and_with_a_broken_one_none():
    assert image_allowed({}, "anything")
    for broken in ([], "busybox", [1], None, {"busybox": 1}):
        assert not image_allowed({"images": broken}, "busybox")
    assert not image_allowed(None, "busybox")


def test_a_policy_that_can_be_read_has_no_problems():
    full = {
        "images": ["busybox"],
        "paths": ["/", "/srv/data", "/etc/ssl:ro"],
        "capabilities": ["NET_ADMIN"],
        "devices": ["/dev/fuse"],
        "privileged": True,
        "host_network": False,
        "host_pid": True,
    }
    assert policy.problems(full) == policy.problems({}) == []


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([], "must be a JSON object"),
        ({"image": ["a"]}, "known are: images"),
        ({"images": "busybox"}, "images must be a list"),
        ({"images": []}, "leave it out"),
        ({"privileged": 1}, "true or false"),
        ({"paths": ["srv"]}, "whole path"),
        ({"paths": ["/srv/../etc"]}, "whole path"),
        ({"paths": ["/srv:rw"]}, "/srv:ro"),
        ({"devices": [""]}, "devices must be a list"),
    ],
)
def test_what_is_wrong_with_a_policy_is_said(value, words):
    (problem,) = policy.problems(value)

    assert problem.startswith("policy")
    assert words in problem
