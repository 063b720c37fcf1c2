"""Small lines, drawn by the server."""

from __future__ import annotations

from admin_ui import charts


def test_a_spark_is_scaled_to_its_highest_value_or_to_a_given_top():
    assert charts.spark([0, 10]) == ["0.0,26.0 120.0,2.0"]
    assert charts.spark([0, 10], top=20) == ["0.0,26.0 120.0,14.0"]


def test_a_gap_ends_a_run_and_nothing_is_drawn_for_it():
    assert charts.spark([1, None, 1]) == ["0.0,2.0", "120.0,2.0"]
    assert charts.spark([]) == []
    assert charts.spark([None]) == []


def test_zeros_stay_at_the_bottom():
    assert charts.spark([0, 0]) == ["0.0,26.0 120.0,26.0"]


def test_stacked_values_are_drawn_as_sums_and_said_as_they_are():
    ok, bad = charts.Series("ok", [1, None, 3], "ok"), charts.Series("bad", [1, 2, 0], "bad")
    top, bottom = charts.stacked(ok, bad)
    assert (top.label, top.values, top.drawn) == ("bad", [1, 2, 0], [2.0, 2.0, 3.0])
    assert (bottom.label, bottom.values, bottom.drawn) == ("ok", [1, None, 3], [1.0, 0.0, 3.0])
    assert charts.stacked() == []
