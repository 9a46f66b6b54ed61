"""A service of ours as a KServe model: the same weights, queue and limits, asked in the terms of a standard.

The model is there from the start, as `defender` or `attacker`; it is ready once its weights are loaded. Its version is
the name of a revision: a request without one gets the active revision, one with a version that revision, if it is
loaded, and each response tells version and digest of what answered.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import kserve
from kserve.errors import ModelNotReady
from kserve.protocol.infer_type import InferRequest, InferResponse

from sparring.serving.errors import InvalidRequest
from sparring.serving.standards.inputs import Inputs, Tensor
from sparring.serving.standards.loaded import Loaded
from sparring.serving.standards.outputs import Given, to_response, wanted
from sparring.serving.statuses import RULES, Rules, describe


class StandardModel(kserve.Model):
    """Answers by what is loaded.

    Args:
        name: KServe's name of the model.
        loaded: a reconciler, or `Weightless`.
        inputs: the tensors it takes, optional ones among them.
        outputs: the tensors it gives.
        rules: statuses of the room's own exceptions.
    """

    def __init__(
        self, name: str, loaded: Loaded, *, inputs: Sequence[Tensor], outputs: Sequence[Tensor], rules: Rules
    ) -> None:
        super().__init__(name)
        self._loaded, self._rules = loaded, rules
        self._inputs, self._outputs = inputs, outputs

    @abstractmethod
    async def answer(self, inputs: Inputs, request: InferRequest, outputs: frozenset[str]) -> Given:
        """Answer one request whose wanted outputs are `outputs`. Bad input is told by the fields of our contract."""

    @abstractmethod
    def field(self, path: str) -> str:
        """What the standard calls the field at `path` of our contract's request."""

    @property
    def versions(self) -> list[str]:
        """Revisions that may be asked for, the active one first."""
        state = self._loaded.state
        return [pin.name for pin in (state.active, *state.resident) if pin is not None]

    def require(self, version: str) -> None:
        """Refuse a version that is not loaded; without a version, ask that anything is.

        Raises:
            ModelNotReady: nothing is loaded yet.
            NotResident: the version is not.
        """
        if not self._loaded.ready.is_set():
            raise ModelNotReady(self.name, "Its weights are not loaded yet.")
        with self._loaded.bind(version, ""):
            pass

    async def healthy(self) -> bool:
        """Whether it answers: KServe's word for ready."""
        return self._loaded.ready.is_set()

    def load(self) -> bool:
        """KServe calls this within a request to a model that is not ready, to get it so. It gets so only on its own.

        Raises:
            ModelNotReady: nothing is loaded yet.
        """
        self.require("")
        return True

    def get_input_types(self) -> list[dict[str, Any]]:
        return [tensor.metadata() for tensor in self._inputs]

    def get_output_types(self) -> list[dict[str, Any]]:
        return [tensor.metadata() for tensor in self._outputs]

    async def predict(
        self,
        payload: InferRequest,
        headers: dict[str, str] | None = None,
        response_headers: dict[str, str] | None = None,
    ) -> InferResponse:
        """Answer a request. It waits in the service's own queue, as do all others."""
        with renamed(self._rules, self.field):
            self.require(payload.model_version or "")
            names = wanted(payload, self._outputs)
            given = await self.answer(Inputs(payload, self._inputs), payload, names)
        return to_response(payload, self.name, self._outputs, given)


@contextmanager
def renamed(rules: Rules, field: Callable[[str], str]) -> Iterator[None]:
    """Tell about bad input by the names of the standard that the caller speaks.

    Args:
        rules: statuses of the room's own exceptions.
        field: from a path of our contract to one of the standard.

    Raises:
        InvalidRequest: in place of whatever says that a field is to blame.
    """
    try:
        yield
    except Exception as error:  # whatever it is, it goes on from here
        violations = describe(error, {**RULES, **rules}).violations
        if not any(one.field for one in violations):
            raise
        raise InvalidRequest([replace(one, field=field(one.field)) for one in violations]) from error
