"""Taking answers and logs apart, however the bytes happen to arrive."""

from __future__ import annotations

import dataclasses
import itertools
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hosts.errors import DockerConnectionError
from hosts.executors.docker import DockerExecutor
from hosts.executors.docker.answer import Answer
from hosts.executors.docker.logs import LONGEST_FRAME, Splitter
from hosts.executors.frames import STDERR, STDOUT, pack, stamp
from tests.support import certificates
from tests.support.containers import host_view, read_log, run, script, written
from tests.support.relay import Relay

OK = b"HTTP/1.1 200 OK\r\n"
bodies = st.lists(st.binary(min_size=1, max_size=300), max_size=8)
frames = st.lists(
    st.builds(pack, st.sampled_from([1, 2]), st.just(stamp(1)), st.binary(max_size=200)), max_size=8
)


def _parts(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[start:end] for start, end in itertools.pairwise(places)]


def _chunked(chunks: list[bytes]) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in [*chunks, b""])


def _feed(answer: Answer, data: bytes, cuts: list[int]) -> bytes:
    return b"".join(answer.feed(part) for part in _parts(data, cuts))


@given(bodies, st.lists(st.integers(0, 5000), max_size=12))
def test_chunks_are_joined_and_their_end_is_proved(chunks, cuts):
    answer = Answer("host")

    body = _feed(answer, OK + b"Transfer-Encoding: chunked\r\n\r\n" + _chunked(chunks), cuts)

    assert (body, answer.status, answer.complete) == (b"".join(chunks), 200, True)


@given(bodies.filter(bool), st.integers(1, 5000), st.lists(st.integers(0, 5000), max_size=5))
def test_chunks_that_stop_early_are_never_complete(chunks, missing, cuts):
    answer = Answer("host")
    data = _chunked(chunks)
    _feed(answer, OK + b"Transfer-Encoding: chunked\r\n\r\n" + data[: max(0, len(data) - 4 - missing)], cuts)

    assert not answer.complete
    with pytest.raises(DockerConnectionError, match="cut off"):
        answer.end()


@given(st.binary(max_size=300), st.lists(st.integers(0, 5000), max_size=5))
def test_a_body_of_known_length(body, cuts):
    answer = Answer("host")

    assert _feed(answer, OK + b"content-length: %d\r\n\r\n%s" % (len(body), body), cuts) == body
    assert answer.complete


@given(st.binary(max_size=300), st.lists(st.integers(0, 5000), max_size=5))
def test_a_body_that_ends_with_its_connection(body, cuts):
    answer = Answer("host")

    assert _feed(answer, b"HTTP/1.0 200 OK\r\n\r\n" + body, cuts) == body
    assert not answer.complete
    answer.end()
    assert answer.complete


def test_a_refusals_body_is_its_words_and_no_data():
    answer = Answer("host")

    assert answer.feed(b'HTTP/1.0 404 Not Found\r\nContent-Length: 20\r\n\r\n{"message":"no\\n it"}') == b""
    assert (answer.status, answer.words(), answer.complete) == (404, "no it", True)


@pytest.mark.parametrize(
    "data", [b"SSH-2.0-OpenSSH_9\r\n\r\n", b"x" * 70_000, OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"]
)
def test_what_is_no_answer_is_said(data):
    with pytest.raises(DockerConnectionError, match="does not speak HTTP"):
        Answer("host").feed(data)


def test_no_answer_at_all_is_said():
    with pytest.raises(DockerConnectionError, match="without an answer"):
        Answer("host").end()


@given(frames, st.lists(st.integers(0, 5000), max_size=12))
def test_frames_come_out_whole_however_they_arrive(log, cuts):
    splitter = Splitter("host")
    seen = [splitter.feed(part) for part in _parts(b"".join(log), cuts)]

    splitter.end(proved=True)
    assert b"".join(seen) == b"".join(log)
    ends = {sum(map(len, log[:count])) for count in range(len(log) + 1)}
    assert {sum(map(len, seen[:count])) for count in range(len(seen) + 1)} <= ends


@pytest.mark.parametrize("stream", [0, 3, 255])
def test_other_streams_are_no_log(stream):
    with pytest.raises(DockerConnectionError):
        Splitter("host").feed(pack(STDOUT, stamp(1), b"fine") + pack(stream, stamp(1), b"a reason"))


def test_the_engines_own_trouble_is_told_in_its_words():
    with pytest.raises(DockerConnectionError, match=r"cannot read the log: .*disk on fire"):
        Splitter("host").feed(pack(3, stamp(1), b"disk\non fire"))


@pytest.mark.parametrize("length", [0, 30, LONGEST_FRAME + 1, 2**32 - 1])
def test_impossible_lengths_are_no_log(length):
    with pytest.raises(DockerConnectionError, match="no record"):
        Splitter("host").feed(b"\x01\0\0\0" + length.to_bytes(4, "big"))


def test_a_log_that_ends_inside_a_record_was_cut():
    splitter = Splitter("host")
    splitter.feed(pack(STDERR, stamp(1), b"half")[:-1])

    with pytest.raises(DockerConnectionError, match="cut off"):
        splitter.end(proved=True)


@pytest.mark.docker
def test_everything_works_over_tls_with_certificates_on_both_ends(docker_engine, tmp_path):
    files = certificates.make(tmp_path)
    with Relay(docker_engine.url.removeprefix("unix://"), tls=files.server_context()) as relay:
        executor = DockerExecutor(_tls_host(relay, files))

        hints = executor.watch(threading.Event())
        next(hints)
        seen = run(executor, script("head -c 300000 /dev/zero | tr '\\0' x; echo; echo done"))
        log = read_log(executor, seen.container_id)

        assert written(log, STDOUT) == b"x" * 300_000 + b"\ndone\n"
        assert next(hints).container_id == seen.container_id
        hints.close()
        executor.remove(seen.container_id)
        executor.close()


@pytest.mark.docker
def test_an_engine_of_another_authority_is_not_trusted(docker_engine, tmp_path):
    for name in ("ours", "theirs"):
        (tmp_path / name).mkdir()
    ours, theirs = certificates.make(tmp_path / "ours"), certificates.make(tmp_path / "theirs")
    with Relay(docker_engine.url.removeprefix("unix://"), tls=theirs.server_context()) as relay:
        executor = DockerExecutor(_tls_host(relay, ours))

        with pytest.raises(DockerConnectionError, match="certificate was not accepted"):
            executor.check()
        executor._client._version = "1.41"
        with pytest.raises(DockerConnectionError, match="certificate was not accepted"):
            next(executor.watch(threading.Event()))
        executor.close()


@pytest.mark.docker
def test_an_engine_that_wants_a_certificate_lets_nobody_in_without(docker_engine, tmp_path):
    files = certificates.make(tmp_path)
    with Relay(docker_engine.url.removeprefix("unix://"), tls=files.server_context()) as relay:
        executor = DockerExecutor(host_view(relay.url, tls_verify=True, tls_ca_cert=str(files.ca)))

        with pytest.raises(DockerConnectionError, match="cannot be reached"):
            executor.check()
        executor.close()


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")  # the client library's word about it
@pytest.mark.docker
def test_a_certificate_of_another_name_is_not_accepted_unless_verification_is_off(docker_engine, tmp_path):
    files = certificates.make(tmp_path)
    with Relay(docker_engine.url.removeprefix("unix://"), tls=files.server_context()) as relay:
        named = dataclasses.replace(_tls_host(relay, files), base_url=f"https://localhost:{relay.port}")
        executor = DockerExecutor(named)
        with pytest.raises(DockerConnectionError, match="certificate was not accepted"):
            executor.check()
        executor.close()

        lax = DockerExecutor(dataclasses.replace(named, config={**named.config, "tls_verify": False}))
        assert lax.check().engine_id
        hints = lax.watch(threading.Event())
        assert next(hints).action == "connected"
        hints.close()
        lax.close()


def _tls_host(relay: Relay, files: certificates.Certificates):
    return host_view(
        relay.url,
        tls_verify=True,
        tls_ca_cert=str(files.ca),
        tls_client_cert=str(files.certificate),
        tls_client_key=str(files.key),
    )
