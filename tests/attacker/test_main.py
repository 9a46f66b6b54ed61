"""The attacker as a process without an editor: it serves without a model's code."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).with_name("modelless.py")


def test_an_attacker_without_an_editor_imports_no_model_code(tmp_path: Path) -> None:
    told = json.loads(subprocess.check_output([sys.executable, str(SCRIPT), str(tmp_path)], text=True, timeout=120))
    assert told["replies"] == ["control", "edit", "edit"]
    assert not {"torch", "diffusers", "transformers", "peft"} & set(told["modules"])
