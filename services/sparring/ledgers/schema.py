"""The columns of the episode ledger.

Images and latents are plain `large_binary`: a column that a query does not name is not read, and of one that it names
only the rows that pass the filter are. Lance's blob columns gained nothing at these sizes (its second form costs twice
the time to append and to compact).

A column that is added must be optional: a ledger that was made without it gets it, empty, when it is next opened.
"""

from __future__ import annotations

import pyarrow as pa

COMMIT = [pa.field("writer", pa.string(), nullable=False), pa.field("sequence", pa.int64(), nullable=False)]
"""Who appended a row, and that writer's number for the group it came with."""


def _schema(required: dict[str, pa.DataType], optional: dict[str, pa.DataType] | None = None) -> pa.Schema:
    fields = [pa.field(name, kind, nullable=False) for name, kind in required.items()]
    return pa.schema([*COMMIT, *fields, *(pa.field(name, kind) for name, kind in (optional or {}).items())])


_TEXT, _FLOATS = pa.string(), pa.list_(pa.float32())
_TARGET = pa.struct({"name": _TEXT, "box": pa.list_(pa.float64(), 4)})
_GROUP = pa.struct({"name": _TEXT, "value": _TEXT})
_MEASURE = pa.struct({"name": _TEXT, "value": pa.float64()})
_ANSWER = pa.struct(
    {
        "text": _TEXT,
        "tokens": pa.list_(pa.int32()),
        "logprobs": _FLOATS,
        "letter": _TEXT,
        "rule": _TEXT,
        "correct": pa.bool_(),
        "exact": pa.bool_(),
    }
)

SAMPLES = _schema(
    {
        "sample_id": _TEXT,
        "image": pa.large_binary(),
        "question": _TEXT,
        "options": pa.list_(_TEXT),
        "answer": pa.int32(),
        "targets": pa.list_(_TARGET),
        "category": _TEXT,
        "source": _TEXT,
    },
    {"groups": pa.list_(_GROUP), "image_digest": _TEXT},
)
EDITS = _schema(
    {
        "edit_id": _TEXT,
        "sample_id": _TEXT,
        "attacker": _TEXT,
        "attacker_digest": _TEXT,
        "instruction": _TEXT,
        "seed": pa.uint64(),
        "kind": _TEXT,
        "image": pa.large_binary(),
        "valid": pa.bool_(),
        "reasons": pa.list_(_TEXT),
        "measures": pa.list_(_MEASURE),
    },
    {"affine": pa.list_(pa.float64()), "attack_type": _TEXT},
)
TRAJECTORIES = _schema(
    {
        "edit_id": _TEXT,
        "campaign": _TEXT,
        "phase": _TEXT,
        "sigmas": _FLOATS,
        "start": pa.int32(),
        "latents": pa.large_binary(),
        "final": pa.large_binary(),
        "shape": pa.list_(pa.int32(), 3),
        "logprobs": _FLOATS,
        "noise_level": pa.float64(),
        "variant": _TEXT,
        "guidance": pa.float64(),
    }
)
"""`latents` and `final` are little-endian float32 in C order; `shape` is that of `latents`."""
EPISODES = _schema(
    {
        "episode_id": _TEXT,
        "sample_id": _TEXT,
        "prompt": _TEXT,
        "option_order": pa.list_(pa.int32()),
        "temperature": pa.float64(),
        "defender": _TEXT,
        "defender_digest": _TEXT,
        "attacker": _TEXT,
        "answers": pa.list_(_ANSWER),
        "rewards": pa.list_(pa.float64()),
        "purpose": _TEXT,
        "campaign": _TEXT,
        "phase": _TEXT,
        "learner": _TEXT,
        "group_id": _TEXT,
        "group_size": pa.int32(),
        "index": pa.int32(),
        "outcome": _TEXT,
        "error": _TEXT,
    },
    {"edit_id": _TEXT},
)
