"""Chunks are zlib streams, whoever made them and whoever reads them."""

from __future__ import annotations

import zlib

from hypothesis import given
from hypothesis import strategies as st

from jobs import deflate

contents = st.one_of(
    st.binary(max_size=5_000), st.binary(min_size=1, max_size=50).map(lambda data: data * 2_000)
)


@given(contents)
def test_what_we_make_zlib_reads(data):
    assert zlib.decompress(deflate.compress(data)) == data


@given(contents, st.sampled_from([0, 1, 6, 9]))
def test_what_zlib_made_we_read(data, level):
    assert deflate.decompress(zlib.compress(data, level)) == data


@given(contents, st.integers(1, 6_000))
def test_only_the_start_is_made_of_a_stream_if_no_more_is_wanted(data, size):
    assert deflate.start(deflate.compress(data), size) == data[:size]
