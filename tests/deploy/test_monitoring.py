"""The dashboard and the alerts: what they ask for is what /metrics tells."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from django.db.models.functions import Now
from django.test import Client
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from healthcheck import metrics
from hosts import identity
from hosts.models import HostCount, HostState
from jobs import totals
from jobs.models import Tally
from jobs.states import AttemptState, Outcome
from supervisor import processes
from supervisor.models import Role
from supervisor.processes import Known
from tests.deploy import files
from tests.jobs.attempts import make_attempt, take
from tests.support.factories import make_host, make_job
from tests.support.requirements import missing

_NAME = re.compile(r"\btallyman_\w+")
_MATCHED = re.compile(r"\b(tallyman_\w+)\{([^}]*)\}")
_LABEL = re.compile(r"(\w+)\s*[=!]~?\s*\"")


@pytest.fixture
def families(client: Client, monkeypatch: pytest.MonkeyPatch, transactional_db: None) -> list[Metric]:
    """What /metrics tells of a system that has something of everything."""
    monkeypatch.setattr(metrics._COLLECTOR, "_totals", totals.Counter())
    host, me = make_host("a", state=HostState.ONLINE), identity.current()
    make_job()
    make_attempt(AttemptState.RUNNING, host=host)
    known = Known(role=Role.WORKER, pid=me.pid, start_ticks=me.start_ticks, host_id=host.pk)
    processes.beat(take(host).owner, [known])
    HostCount.objects.create(host=host, action="cleaned", count=1)
    counts = dict.fromkeys([field.name for field in Tally._meta.fields if "within_" in field.name], 0)
    Tally.objects.create(
        minute=Now(),
        host_name="a",
        template_name="t",
        outcome=Outcome.SUCCEEDED,
        count=1,
        seconds=1,
        log_bytes=1,
        beyond_1h=1,
        **counts,
    )
    return list(text_string_to_metric_families(client.get("/metrics").content.decode()))


def _asked() -> list[str]:
    return [*files.queries(), *(rule["expr"] for rule in files.alerts().values())]


def test_every_metric_that_is_asked_for_is_told(families: list[Metric]) -> None:
    told = {sample.name for family in families for sample in family.samples}
    asked = {name for query in _asked() for name in _NAME.findall(query)}
    assert len(asked) > 10
    assert asked <= told


def test_every_metric_is_on_the_dashboard(families: list[Metric]) -> None:
    shown = {name for query in files.queries() for name in _NAME.findall(query)}
    left_out = [family.name for family in families if not shown & {sample.name for sample in family.samples}]
    assert not left_out


def test_metrics_are_chosen_by_labels_that_they_have(families: list[Metric]) -> None:
    labels: dict[str, set[str]] = {}
    for sample in (sample for family in families for sample in family.samples):
        labels.setdefault(sample.name, set()).update(sample.labels)
    chosen = [found for query in _asked() for found in _MATCHED.findall(query)]
    assert chosen
    for name, matchers in chosen:
        assert set(_LABEL.findall(matchers)) <= labels[name], f"{name}{{{matchers}}}"


def test_outcomes_that_are_asked_for_exist() -> None:
    named = {word for query in _asked() for word in re.findall(r'outcome="(\w+)"', query)}
    assert named <= set(Outcome.values)


def test_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in files.dashboard()["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells


def test_every_alert_says_how_bad_it_is_and_what_is_the_matter() -> None:
    for name, rule in files.alerts().items():
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}, name
        assert rule["annotations"]["summary"], name


def test_every_alert_is_tested() -> None:
    tested = (files.DEPLOY / "prometheus" / "alerts_test.yaml").read_text()
    for name in files.alerts():
        assert re.search(rf"alertname: {name}\n\s+exp_alerts", tested), name


class TestPromtool:
    @pytest.fixture
    def promtool(self) -> str:
        return shutil.which("promtool") or missing(
            "promtool", "promtool is not installed (Debian: prometheus)"
        )

    def test_finds_the_alerts_sound(self, promtool: str) -> None:
        _run(promtool, "check", "rules", files.ALERTS.name)

    def test_sees_each_alert_fire_when_it_should(self, promtool: str) -> None:
        _run(promtool, "test", "rules", "alerts_test.yaml")

    def test_finds_the_scrape_configuration_sound(self, promtool: str) -> None:
        _run(promtool, "check", "config", "--syntax-only", "prometheus.yaml")

    def test_finds_the_queries_of_the_dashboard_sound(self, promtool: str, tmp_path: Path) -> None:
        rules = [{"record": f"q{at}", "expr": query} for at, query in enumerate(files.queries())]
        file = tmp_path / "queries.yaml"
        file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
        _run(promtool, "check", "rules", str(file))


def _run(*command: str) -> None:
    folder = files.ALERTS.parent
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
