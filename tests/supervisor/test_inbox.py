"""How threads and handlers wake the main thread, and what they leave for it."""

from __future__ import annotations

import fcntl
import os
import resource
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from supervisor.signals import SignalInbox
from supervisor.worker.inbox import MOST_KEYS, Inbox, Wake

LONG_SECONDS = 30.0
AT_ONCE_SECONDS = 5.0


@pytest.fixture
def wake() -> Iterator[Wake]:
    wake = Wake()
    yield wake
    wake.close()


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    yield reader, writer
    os.close(reader)
    os.close(writer)


def ends_at_once(wake: Wake, also: list[int] | None = None) -> bool:
    began = time.monotonic()
    wake.wait(LONG_SECONDS, also=also or [])
    return time.monotonic() - began < AT_ONCE_SECONDS


def is_set(wake: Wake) -> bool:
    began = time.monotonic()
    wake.wait(0.05)
    return time.monotonic() - began < 0.05


def test_it_waits_on_descriptors_beyond_those_that_select_can_take(wake: Wake, pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(most[0], 2048), most[1]))
    high = fcntl.fcntl(reader, fcntl.F_DUPFD, 1500)
    try:
        os.write(writer, b"x")
        assert wake.wait(LONG_SECONDS, also=[high])
    finally:
        os.close(high)
        resource.setrlimit(resource.RLIMIT_NOFILE, most)


def test_waiting_on_a_descriptor_that_was_closed_is_an_error_and_no_busy_loop(wake: Wake) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    os.close(writer)
    with pytest.raises(OSError, match="Bad file descriptor"):
        wake.wait(LONG_SECONDS, also=[reader])


def test_a_wake_up_before_the_wait_ends_it(wake: Wake) -> None:
    wake.set()
    assert ends_at_once(wake)


def test_a_wake_up_of_another_thread_ends_the_wait(wake: Wake) -> None:
    thread = threading.Timer(0.05, wake.set)
    thread.start()
    assert ends_at_once(wake)
    thread.join()


def test_many_wake_ups_are_taken_at_once_and_never_block(wake: Wake) -> None:
    for _ in range(200_000):  # far more than a pipe holds
        wake.set()
    assert ends_at_once(wake)
    assert not is_set(wake)


def test_without_a_wake_up_the_wait_ends_in_time(wake: Wake) -> None:
    began = time.monotonic()
    wake.wait(0.05)
    assert time.monotonic() - began >= 0.05


def test_a_time_in_the_past_is_no_wait_at_all(wake: Wake) -> None:
    wake.wait(-1.0)
    assert not is_set(wake)


def test_data_on_another_descriptor_ends_the_wait_and_is_left_to_its_owner(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    wake = Wake(also=[reader])
    os.write(writer, b"word")
    assert ends_at_once(wake)
    assert ends_at_once(wake), "nobody has read it yet"
    assert os.read(reader, 10) == b"word"
    assert not is_set(wake)
    wake.close()


def test_a_descriptor_can_be_watched_and_left_again(wake: Wake, pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    wake.watch(reader)
    os.write(writer, b"x")
    assert ends_at_once(wake)
    wake.unwatch(reader)
    assert not is_set(wake)
    assert ends_at_once(wake, also=[reader])


def test_waking_somebody_who_left_is_no_error() -> None:
    wake = Wake()
    wake.close()
    wake.set()


def test_messages_are_taken_once_and_in_order(wake: Wake) -> None:
    inbox = Inbox(wake)
    for number in range(3):
        inbox.put(number)
    assert inbox.take() == [0, 1, 2]
    assert inbox.take() == []


def test_a_message_wakes_the_main_thread(wake: Wake) -> None:
    inbox = Inbox(wake)
    thread = threading.Timer(0.05, inbox.put, ["news"])
    thread.start()
    assert ends_at_once(wake)
    thread.join()
    assert inbox.take() == ["news"]


def test_no_message_of_many_threads_is_lost(wake: Wake) -> None:
    inbox = Inbox(wake)
    threads = [
        threading.Thread(target=lambda name: [inbox.put((name, n)) for n in range(1000)], args=(name,))
        for name in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    taken = inbox.take()
    for name in range(4):
        assert [number for sender, number in taken if sender == name] == list(range(1000))


def test_signals_are_noted_in_order_and_end_the_wait(wake: Wake) -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGUSR1, signal.SIGUSR2)}
    try:
        signals = SignalInbox(wake, before)
        for number in (signal.SIGUSR2, signal.SIGUSR1, signal.SIGUSR2):
            signal.raise_signal(number)
        assert ends_at_once(wake)
        assert signals.take() == [signal.SIGUSR2, signal.SIGUSR1, signal.SIGUSR2]
        assert signals.take() == []
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_of_messages_with_a_key_the_latest_is_taken_and_of_plain_ones_every_one(wake: Wake) -> None:
    inbox = Inbox(wake)
    for number in range(1000):
        inbox.put_latest(("usage", number % 2), number)
        if number % 100 == 0:
            inbox.put(f"step {number}")
    assert inbox.take() == [*(f"step {number}" for number in range(0, 1000, 100)), 998, 999]
    assert inbox.take() == []


def test_however_many_keys_there_are_what_waits_is_bounded_and_plain_messages_are_kept(wake: Wake) -> None:
    inbox = Inbox(wake)
    for number in range(2 * MOST_KEYS):
        inbox.put_latest(number, number)
    inbox.put("step")
    assert inbox.take() == ["step", *range(MOST_KEYS)]
