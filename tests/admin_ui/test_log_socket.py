"""The socket of a log: who may follow, what comes, from where on, and that nothing piles up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from channels.db import database_sync_to_async
from channels.layers import get_channel_layer
from django.contrib.auth.models import Permission, User
from django.contrib.sessions.models import Session
from django.db import connections

from admin_ui.live_logs import consumer
from admin_ui.live_logs import tower as towers
from admin_ui.live_logs.tower import tower
from config.asgi import application
from jobs.models import Attempt
from jobs.states import AttemptState, Outcome
from tests.browser.screens import session_for
from tests.jobs.attempts import end, make_attempt
from tests.jobs.chunks import err, out, store
from tests.support.factories import make_job
from tests.support.redis_server import running_redis
from tests.support.sockets import Socket
from tests.support.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _nobody_is_left() -> Iterator[None]:
    yield
    wait_until(lambda: tower.is_idle, 5, "the thread to end that looked for news")


@pytest.fixture
def attempt() -> Attempt:
    attempt = make_attempt(AttemptState.RUNNING)
    store(attempt, *(out(f"{n}\n", n) for n in range(10)))
    return attempt


class Tab(Socket):
    """A browser of somebody who is logged in, or of a stranger."""

    def __init__(
        self, job_id: object, user: User | None, query: str = "", origin: str = "http://localhost"
    ) -> None:
        headers = [(b"origin", origin.encode()), (b"host", b"localhost")]
        if user:
            headers.append((b"cookie", f"sessionid={session_for(user)}".encode()))
        super().__init__(application, f"/ws/jobs/{job_id}/log/?{query}", headers)

    async def news(self) -> dict[str, Any]:
        """The next message, acknowledged as a browser does it."""
        message = await self.hear()
        if message["t"] == "lines":
            await self.say('{"t": "ack"}')
        return message


opened = database_sync_to_async(Tab)


@pytest.fixture
def redis(tmp_path, settings) -> Iterator[None]:
    """A server of its own, as the channel layer."""
    with running_redis(tmp_path) as server:
        backend = "channels_redis.pubsub.RedisPubSubChannelLayer"
        config = {"hosts": [server.url], "prefix": "tallyman"}
        settings.CHANNEL_LAYERS = {"default": {"BACKEND": backend, "CONFIG": config}}
        yield
        tower.on_news = None


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    """Run it in a loop of its own, and leave no connection of its threads behind."""

    async def all_of_it() -> None:
        try:
            await scenario()
        finally:
            tower._feeds.clear()  # of a scenario that failed
            await database_sync_to_async(connections.close_all)()

    asyncio.run(all_of_it())


def viewer() -> User:
    user = User.objects.create_user("viewer", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_containerjob"))
    return user


def texts(message: dict[str, Any]) -> list[str]:
    return [row[3] for row in message["rows"]]


def test_what_is_there_and_then_each_new_line_once_until_the_end(attempt):
    user = viewer()

    async def scenario() -> None:
        tab = await opened(attempt.job_id, user, "after=7")
        assert await tab.connect()
        first = await tab.news()
        assert (first["from"], first["total"], texts(first)) == (7, 10, ["7", "8", "9"])
        await database_sync_to_async(store)(attempt, out("new\n") + err("and\n"))
        second = await tab.news()
        assert (second["from"], texts(second)) == (10, ["new", "and"])
        await database_sync_to_async(end)(attempt, Outcome.USER, exit_code=3)
        assert texts(await tab.news()) == []
        assert await tab.news() == {"t": "end", "outcome": "user", "exit_code": 3}
        assert await tab.closed() == consumer.ENDED

    run(scenario)


def test_a_stream_of_one_attempt_is_followed_by_itself(attempt):
    user = viewer()

    async def scenario() -> None:
        tab = await opened(attempt.job_id, user, "attempt=1&stream=stderr")
        assert await tab.connect()
        assert (await tab.news())["total"] == 0
        await database_sync_to_async(store)(attempt, out("not this\n") + err("this\n"))
        message = await tab.news()
        assert (message["from"], message["total"], texts(message)) == (0, 1, ["this"])
        await tab.leave()

    run(scenario)


def test_a_browser_that_does_not_answer_gets_the_newest_lines_later_and_nothing_meanwhile(attempt):
    user = viewer()

    async def scenario() -> None:
        tab = await opened(attempt.job_id, user, "after=10")
        assert await tab.connect()
        await tab.hear()
        for block in range(4):
            data = b"".join(out(f"{block}-{n}\n") for n in range(400))
            await database_sync_to_async(store)(attempt, data)
        assert await tab.receive_nothing(0.8)
        (feed,) = tower._feeds.values()
        assert len(feed.rows) <= 500
        await tab.say('{"t": "ack"}')
        message = await tab.news()
        assert (message["total"], len(message["rows"])) == (1610, 500)
        assert (message["from"], texts(message)[-1]) == (1110, "3-399")
        await tab.leave()

    run(scenario)


def test_only_who_may_see_jobs_may_follow_and_only_from_this_site(attempt):
    stranger = User.objects.create_user("stranger", is_staff=True)
    outsider = User.objects.create_superuser("outsider")
    User.objects.filter(pk=outsider.pk).update(is_staff=False)
    may = viewer()

    async def scenario() -> None:
        for user, query, code in (
            (None, "", consumer.LOG_IN),
            (stranger, "", consumer.FORBIDDEN),
            (outsider, "", consumer.FORBIDDEN),
            (may, "stream=docker", consumer.BAD_REQUEST),
            (may, "attempt=x", consumer.BAD_REQUEST),
            (may, "after=-1", consumer.BAD_REQUEST),
            (may, "attempt=9", consumer.NOT_FOUND),
        ):
            tab = await opened(attempt.job_id, user, query)
            assert await tab.connect()
            assert await tab.closed() == code, (user, query)
        elsewhere = await opened(attempt.job_id, may, origin="http://elsewhere.example")
        assert not await elsewhere.connect()

    run(scenario)


def test_a_job_without_an_attempt_has_nothing_to_follow_yet():
    job, user = make_job(), viewer()

    async def scenario() -> None:
        tab = await opened(job.pk, user)
        assert await tab.connect()
        assert await tab.closed() == consumer.NOT_FOUND

    run(scenario)


@pytest.mark.parametrize("lost", ["permission", "login"])
def test_who_loses_the_right_meanwhile_is_cut_off(attempt, monkeypatch, lost):
    monkeypatch.setattr(consumer, "CHECK_EVERY_SECONDS", 0.1)
    monkeypatch.setattr(consumer, "BEAT_SECONDS", 0.1)
    user = viewer()

    def lose() -> None:
        if lost == "login":
            Session.objects.all().delete()
        else:
            user.user_permissions.clear()

    async def scenario() -> None:
        tab = await opened(attempt.job_id, user, "after=10")
        assert await tab.connect()
        await tab.news()
        assert await tab.news() == {"t": "beat"}
        await database_sync_to_async(lose)()
        while (message := await tab.receive_output(5))["type"] == "websocket.send":
            assert message["text"] == '{"t": "beat"}'
        assert message["code"] == (consumer.LOG_IN if lost == "login" else consumer.FORBIDDEN)

    run(scenario)


def test_what_a_browser_says_that_makes_no_sense_is_let_pass(attempt):
    user = viewer()

    async def scenario() -> None:
        tab = await opened(attempt.job_id, user, "after=10")
        assert await tab.connect()
        await tab.news()
        for nonsense in ("", "{", "[" * 5000, '"ack"', '{"t": "what"}', "null"):
            await tab.say(nonsense)
        await tab.say_bytes(b"\xff")
        await database_sync_to_async(store)(attempt, out("still here\n"))
        assert texts(await tab.news()) == ["still here"]
        await tab.leave()

    run(scenario)


def test_whoever_follows_has_the_log_stored_without_delay_and_many_cost_one_query(attempt):
    user = viewer()

    async def scenario() -> None:
        tabs = [await opened(attempt.job_id, user, "after=10") for _ in range(5)]
        for tab in tabs:
            assert await tab.connect()
        for tab in tabs:
            await tab.news()
        marked = await database_sync_to_async(Attempt.objects.get)(pk=attempt.pk)
        assert marked.watched_until is not None
        assert len(tower._feeds) == 1
        for tab in tabs:
            await tab.leave()

    run(scenario)


@pytest.mark.process
def test_what_one_web_process_finds_the_others_look_for_at_once(attempt, redis, monkeypatch):
    user = viewer()
    group = f"log.{attempt.pk.hex}"

    async def scenario() -> None:
        layer = get_channel_layer()
        other = await layer.new_channel()
        await layer.group_add(group, other)
        tab = await opened(attempt.job_id, user, "after=10")
        assert await tab.connect()
        await tab.news()
        await database_sync_to_async(store)(attempt, out("found here\n"))
        assert texts(await tab.news()) == ["found here"]
        async with asyncio.timeout(5):
            assert (await layer.receive(other))["type"] == "log.grew"

        monkeypatch.setattr(towers, "LOOK_EVERY_SECONDS", 600.0)
        await asyncio.sleep(0)
        tower.look_soon()
        await asyncio.sleep(0.3)  # it has looked, and would not again for a long time
        await database_sync_to_async(store)(attempt, out("found elsewhere\n"))
        await layer.group_send(group, {"type": "log.grew"})
        assert texts(await tab.news()) == ["found elsewhere"]
        await tab.leave()
        await layer.flush()

    run(scenario)
