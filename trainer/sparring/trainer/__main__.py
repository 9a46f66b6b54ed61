"""`torchrun -m sparring.trainer --config FILE`: train one phase.

Exits with status 0 when the phase has all its steps, 1 when something went wrong that may go away, 2 when the
configuration is wrong.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pydantic import ValidationError

from sparring.trainer.config import TrainerConfig

MISUSED = 2


def main() -> None:
    parser = argparse.ArgumentParser(prog="sparring.trainer", description="Train one phase of one side.")
    parser.add_argument("--config", type=Path, required=True, help="JSON file with a resolved TrainerConfig")
    file = parser.parse_args().config
    try:
        config = TrainerConfig.model_validate_json(file.read_text())
    except (OSError, ValidationError) as error:
        print(f"trainer: {file}: {error}", file=sys.stderr)
        sys.exit(MISUSED)

    import structlog

    from sparring.ledgers.errors import LedgerError
    from sparring.trainer.errors import TrainerError
    from sparring.trainer.phase import train

    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
    )
    try:
        train(config)
    except (TrainerError, LedgerError) as error:
        sys.exit(f"trainer: {error}")


if __name__ == "__main__":
    main()
