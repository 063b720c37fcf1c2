"""`manage.py test` labels, as pytest knows them."""

from __future__ import annotations

import pytest
from django.core.exceptions import ImproperlyConfigured

from config import test_runner

HERE = "tests/config/test_test_runner.py"


class TestLabels:
    @pytest.mark.parametrize(
        ("label", "path"),
        [
            ("config", "tests/config"),
            ("container_manager", "tests"),
            (HERE, HERE),
            (f"{HERE}::TestLabels", f"{HERE}::TestLabels"),
            ("tests.config.test_test_runner", HERE),
            ("config.tests.test_runner", HERE),
            ("config.test_test_runner.TestLabels.test_a_label", f"{HERE}::TestLabels::test_a_label"),
            ("container_manager.tests.TestLabels", f"{HERE}::TestLabels"),
        ],
    )
    def test_a_label_becomes_a_path(self, label, path):
        assert test_runner.pytest_path(label) == path

    def test_an_unknown_one_is_an_error(self):
        with pytest.raises(ImproperlyConfigured, match=r"There is no test 'jobs\.Nonsense' below tests/"):
            test_runner.pytest_path("jobs.Nonsense")


def test_options_are_handed_on():
    runner = test_runner.PytestRunner(
        verbosity=2, failfast=True, test_name_patterns=["a", "b"], interactive=True
    )
    assert runner.options == ["-v", "-x", "-k", "a or b"]
