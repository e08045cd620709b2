"""A run that only writes down what it was asked stands in for the real one."""

from tests.support.stub_run import answer, checked, crashed, fake_run, unfinished  # noqa: F401
