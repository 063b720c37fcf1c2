"""An engine that hangs is seen by its worker and told by the probes, and holds up neither."""

from __future__ import annotations

import pytest

from hosts.models import DockerHost
from tests.support.engines import Engine
from tests.support.supervising import running
from tests.support.waiting import wait_until
from tests.support.web import Web, only, running_web, seen

pytestmark = [pytest.mark.docker, pytest.mark.process, pytest.mark.django_db(transaction=True)]

WELL = {"/health/live": 200, "/health/ready": 200, "/health/": 200, "/metrics": 200}
LONGEST_SECONDS = 4.0


def become(web: Web, statuses: dict[str, int]) -> None:
    wait_until(lambda: seen(web.crowd(0.1)[0]) == only(statuses), 30, f"the probes to say {statuses}")


def test_probes_tell_it_stay_prompt_and_recover(
    two_engines: tuple[Engine, Engine], database_url: str
) -> None:
    engine = two_engines[0]
    DockerHost.objects.create(name="a", connection_string=engine.url, executor_config={"timeout": 1})
    with running_web(database_url) as web, running("supervise", database_url=database_url):
        become(web, WELL)
        engine.pause()
        try:
            become(web, {**WELL, "/health/": 503})
            _, longest = web.crowd(1.0)
            assert longest < LONGEST_SECONDS
        finally:
            engine.resume()
        become(web, WELL)
