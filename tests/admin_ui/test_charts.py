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
