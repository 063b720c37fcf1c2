"""Usage by an engine's stats call: its answers for cgroup v1 and v2, and what they leave unsaid."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from typing import Any

import pytest

from hosts.executors.docker import readings

# Docker 20.10 on cgroup v1, cut to what is read.
V1: dict[str, Any] = {
    "read": "2026-11-23T04:13:44.546691433Z",
    "preread": "0001-01-01T00:00:00Z",
    "pids_stats": {"current": 4},
    "blkio_stats": {
        "io_service_bytes_recursive": [
            {"major": 8, "minor": 0, "op": "Read", "value": 4096},
            {"major": 8, "minor": 0, "op": "Write", "value": 100},
            {"major": 8, "minor": 0, "op": "Sync", "value": 4196},
            {"major": 8, "minor": 0, "op": "Total", "value": 4196},
            {"major": 253, "minor": 1, "op": "Read", "value": 1},
        ],
        "io_serviced_recursive": [],
    },
    "cpu_stats": {"cpu_usage": {"total_usage": 186717470, "usage_in_kernelmode": 60000000}, "online_cpus": 2},
    "memory_stats": {
        "usage": 30924800,
        "max_usage": 40982144,
        "stats": {
            "cache": 1024800,
            "inactive_file": 1,
            "active_file": 1,
            "total_inactive_file": 924800,
            "total_active_file": 100000,
        },
        "limit": 25276502016,
    },
    "networks": {"eth0": {"rx_bytes": 1000, "tx_bytes": 20}, "eth1": {"rx_bytes": 1, "tx_bytes": 3}},
}
# Docker on cgroup v2: other operations, no max_usage, and no cache by that name.
V2: dict[str, Any] = {
    "read": "2026-11-23T04:13:44.546691433Z",
    "pids_stats": {"current": 4, "limit": 18446744073709551615},
    "blkio_stats": {
        "io_service_bytes_recursive": [
            {"major": 8, "minor": 0, "op": "read", "value": 4097},
            {"major": 8, "minor": 0, "op": "write", "value": 100},
        ],
        "io_serviced_recursive": None,
    },
    "cpu_stats": {"cpu_usage": {"total_usage": 186717000}, "online_cpus": 2},
    "memory_stats": {
        "usage": 30924800,
        "stats": {"anon": 30000000, "file": 1024800, "inactive_file": 924800, "active_file": 100000},
        "limit": 67108864,
    },
    "networks": {"eth0": {"rx_bytes": 1001, "tx_bytes": 23}},
}


def without(stats: dict[str, Any], *path: str) -> dict[str, Any]:
    """The answer without the value at the path."""
    made: Any = copy.deepcopy(stats)
    inner = made
    for key in path[:-1]:
        inner = inner[key]
    del inner[path[-1]]
    return made


@pytest.mark.parametrize(("stats", "high"), [(V1, 40982144), (V2, None)])
def test_an_answer_is_read_in_full(stats, high):
    usage = readings.usage(stats)
    assert usage.at == datetime(2026, 11, 23, 4, 13, 44, 546691, tzinfo=UTC)
    assert (usage.memory_bytes, usage.cache_bytes, usage.memory_high_bytes) == (30000000, 1024800, high)
    assert usage.cpu_seconds == pytest.approx(0.1867, abs=1e-4)
    assert (usage.network_rx_bytes, usage.network_tx_bytes) == (1001, 23)
    assert (usage.block_read_bytes, usage.block_write_bytes) == (4097, 100)
    assert usage.pids == 4


@pytest.mark.parametrize("stats", [V1, V2])
def test_a_container_that_does_not_run_has_no_usage(stats):
    assert readings.usage({"id": "x", "name": "/x", "read": "0001-01-01T00:00:00Z"}) is None
    assert readings.usage(without(stats, "read")) is None


@pytest.mark.parametrize("stats", [V1, V2])
@pytest.mark.parametrize(
    ("path", "unknown"),
    [
        (("memory_stats",), {"memory_bytes", "cache_bytes", "memory_high_bytes"}),
        # Podman: how much of the whole is page cache, nobody knows.
        (("memory_stats", "stats"), {"memory_bytes", "cache_bytes", "memory_high_bytes"}),
        (("cpu_stats",), {"cpu_seconds"}),
        (("networks",), {"network_rx_bytes", "network_tx_bytes"}),
        (("blkio_stats",), {"block_read_bytes", "block_write_bytes"}),
        (("pids_stats",), {"pids"}),
    ],
)
def test_what_is_missing_is_unknown_and_the_rest_is_told(stats, path, unknown):
    usage = readings.usage(without(stats, *path))
    names = {name for name in usage.__slots__ if getattr(usage, name) is None}
    assert names - {"memory_high_bytes"} == unknown - {"memory_high_bytes"}


def test_zeros_that_stand_for_nothing_are_no_figures():
    stats = {
        "read": V1["read"],
        "pids_stats": {},
        "blkio_stats": {"io_service_bytes_recursive": None},
        "cpu_stats": {"cpu_usage": {"total_usage": 0, "usage_in_usermode": 0}},
        "memory_stats": {},
    }
    usage = readings.usage(stats)
    assert {name for name in usage.__slots__ if getattr(usage, name) is not None} == {"at"}


def test_without_a_device_in_the_answer_disk_traffic_is_unknown():
    stats = copy.deepcopy(V1)
    stats["blkio_stats"]["io_service_bytes_recursive"] = []
    assert readings.usage(stats).block_read_bytes is None


def test_a_peak_at_the_limit_is_not_told():
    stats = copy.deepcopy(V1)
    stats["memory_stats"]["failcnt"] = 12
    assert readings.usage(stats).memory_high_bytes is None


@pytest.mark.parametrize(
    ("mode", "own"),
    [("none", True), ("bridge", True), ("mine", True), ("host", False), ("container:abc", False)],
)
def test_a_network_that_others_use_too_is_not_counted(mode, own):
    assert readings.has_own_network({"HostConfig": {"NetworkMode": mode}}) is own
