"""`torchrun -m sparring.trainer --config FILE`: train one phase."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from sparring.trainer.config import TrainerConfig


def main() -> None:
    parser = argparse.ArgumentParser(prog="sparring.trainer", description="Train one phase of one side.")
    parser.add_argument("--config", type=Path, required=True, help="JSON file with a resolved TrainerConfig")
    config = TrainerConfig.model_validate_json(parser.parse_args().config.read_text())

    from sparring.trainer.feed import Starved
    from sparring.trainer.phase import Phase
    from sparring.trainer.update import Mismatch

    try:
        Phase(config).run()
    except (Starved, Mismatch) as error:
        sys.exit(f"trainer: {error}")


if __name__ == "__main__":
    main()
