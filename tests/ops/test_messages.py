from __future__ import annotations

import pytest

from sparring.ops.messages import to_sample
from sparring.referee import messages
from sparring.samples.sample import Box, Sample, Target

TARGETS = (Target("cup", Box(1, 2, 3.5, 4)),)
GROUPS = (("variant", "random"), ("variant", "popular"))


@pytest.mark.parametrize(
    "sample",
    [
        Sample(b"png", "Where?", ("left", "right"), 1, TARGETS, "place", "file, line 1"),
        Sample(b"png", "Is it?", ("Yes", "No"), 0, category="existence", source="x", groups=GROUPS, shuffle=False),
    ],
)
def test_a_sample_arrives_as_it_was_sent(sample: Sample) -> None:
    arrived = messages.to_sample(to_sample(sample))
    assert arrived == sample
    assert arrived.digest == sample.digest
