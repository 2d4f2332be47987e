"""Runs that get only a few seconds."""

import pytest

# Five seconds are kept for handing over; so this is one second of work.
SHORT_S = 6.0

# What such a run comes to depends on how fast this machine is just then. A shared one pauses
# for seconds at times, which is no fault of the exporter: the test is tried again, twice at most.
races_the_clock = pytest.mark.flaky(reruns=2)
