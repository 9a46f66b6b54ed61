"""The referee's settings: what is refused, and that they load without what does the work."""

from __future__ import annotations

import subprocess
import sys

import pytest
from prometheus_client import CollectorRegistry
from pydantic import ValidationError

from sparring.referee.config import Opponent, RefereeConfig, RewardConfig
from sparring.referee.opening import open_referee


def test_an_unknown_key_is_an_error() -> None:
    sides = {"attacker": {"address": "a:1"}, "defender": {"address": "d:1"}}
    with pytest.raises(ValidationError, match="attackers"):
        RefereeConfig.model_validate({**sides, "attackers": {"address": "b:2"}})
    with pytest.raises(ValidationError, match=r"defender\.token\s"):
        RefereeConfig.model_validate({**sides, "defender": {"address": "d:1", "token": "hush"}})


def test_a_reward_is_at_most_one() -> None:
    assert RewardConfig(letter=0.7, form=0.3).letter == 0.7
    with pytest.raises(ValidationError, match="add up to more than 1"):
        RewardConfig(letter=0.9, form=0.2)


async def test_an_unknown_reward_is_found_out_at_the_start() -> None:
    somebody = Opponent(address="a:1")
    config = RefereeConfig(attacker=somebody, defender=somebody, rewards=RewardConfig(attacker="glory"))
    with pytest.raises(ValueError, match=r"glory.*all_wrong.*excess"):
        async with open_referee(config, CollectorRegistry()):
            pass


def test_settings_load_alone() -> None:
    heavy = "{'scipy', 'skimage', 'grpc', 'lance', 'torch'}"
    code = f"import sys, sparring.referee.config, sparring.referee.__main__; assert not {heavy} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
