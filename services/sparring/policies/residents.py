"""Several revisions of one module, resident at once, each under a name that is never used again.

A folder in PEFT layout becomes an adapter on the shared base; a folder with whole weights becomes a module of its
own, opened by the library that wrote it (which maps old parameter names, ties and shards; 35 ms for a million
parameters). Besides these there is at most one *learner*: the weights that are being trained.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from threading import RLock
from typing import Generic, Protocol, TypeVar, cast

import torch
from peft import LoraConfig, PeftModel, get_peft_model, load_peft_weights, set_peft_model_state_dict
from peft.utils.constants import CONFIG_NAME

from sparring.policies.config import Adapter

BASE = "base"
LEARNER = "default"
"""PEFT saves the adapter of this name into the folder itself, where `PeftModel.from_pretrained` looks for it."""

ModuleT = TypeVar("ModuleT", bound=torch.nn.Module)


class Saves(Protocol):
    """What transformers' and diffusers' models have in common."""

    def save_pretrained(self, folder: Path) -> object: ...


class NotInstalled(LookupError):
    """A revision was asked for that is not resident."""


class Residents(Generic[ModuleT]):
    """Revisions of `base` by name. Safe to use from several threads; one of them has the module at a time.

    Args:
        base: the weights called "base". Without an adapter they are also the learner, so that training changes them.
        load: opens a folder of whole weights as a module like `base`, on the same device.
        adapter: the learner's adapter; None trains all weights of the base.
        exclude: regular expression over the full names of modules that get no adapter although a target matches.
    """

    def __init__(
        self,
        base: ModuleT,
        load: Callable[[Path], ModuleT],
        adapter: Adapter | None,
        exclude: str | None = None,
    ) -> None:
        self._base = base.eval()
        self._load = load
        self._adapter = adapter
        self._exclude = exclude
        self._peft: PeftModel | None = None
        self._whole: dict[str, ModuleT] = {}
        self._adapters: dict[str, str] = {}
        self._used = {BASE}
        self._lock = RLock()

    @property
    def names(self) -> frozenset[str]:
        """What is resident now, "base" included."""
        return frozenset((BASE, *self._whole, *self._adapters))

    def install(self, name: str, folder: Path) -> None:
        """Make the revision in `folder` resident as `name`. Only adapters keep the others waiting meanwhile.

        Raises:
            ValueError: the name was used before.
        """
        with self._lock:
            if name in self._used:
                raise ValueError(f"revision name {name!r} was used before; a name means one revision for ever")
            self._used.add(name)
        try:
            self._read(name, folder)
        except BaseException:
            self._used.discard(name)
            raise

    def _read(self, name: str, folder: Path) -> None:
        if not (folder / CONFIG_NAME).exists():
            self._whole[name] = self._load(folder).eval()
            return
        with self._lock:
            key = f"revision{len(self._used)}"
            device = str(next(self._base.parameters()).device)
            if self._peft is None:
                self._peft = PeftModel.from_pretrained(self._base, str(folder), adapter_name=key, torch_device=device)
            else:
                self._peft.load_adapter(str(folder), adapter_name=key, torch_device=device)
            self._adapters[name] = key
            self._settle()

    def remove(self, name: str) -> None:
        """Drop a revision.

        Raises:
            NotInstalled: it is not resident, or it is the base.
        """
        with self._lock:
            if name in self._whole:
                del self._whole[name]
            elif name in self._adapters and self._peft is not None:
                self._peft.delete_adapter(self._adapters.pop(name))
            else:
                raise NotInstalled(self._absent(name))

    @contextmanager
    def use(self, name: str) -> Iterator[ModuleT]:
        """The module with the weights of `name`, in eval mode, for the time of the block and for nobody else.

        Raises:
            NotInstalled: `name` is not resident.
        """
        if name not in self.names:
            raise NotInstalled(self._absent(name))
        with self._lock:
            if name in self._whole:
                yield self._whole[name]
                return
            training = self._base.training
            try:
                with self._activated(name):
                    yield self._base.eval()
            finally:
                self._settle()
                self._base.train(training)

    def _activated(self, name: str) -> AbstractContextManager[None]:
        if self._peft is None:
            return nullcontext()
        if name == BASE:
            base_alone: AbstractContextManager[None] = self._peft.disable_adapter()
            return base_alone
        self._peft.set_adapter(self._adapters[name], inference_mode=True)
        return nullcontext()

    def _settle(self) -> None:
        """Leave the learner active, so that only `use` ever shows another revision."""
        if self._peft is not None and LEARNER in self._peft.peft_config:
            self._peft.set_adapter(LEARNER)

    def learner(self) -> ModuleT:
        """The module with the weights that are trained; made at the first call, an adapter with no effect yet."""
        with self._lock:
            if self._adapter is not None and (self._peft is None or LEARNER not in self._peft.peft_config):
                self._add_learner(self._adapter)
            return self._base

    def _add_learner(self, adapter: Adapter) -> None:
        config = LoraConfig(
            r=adapter.rank,
            lora_alpha=adapter.alpha,
            target_modules=list(adapter.targets),
            exclude_modules=self._exclude,
        )
        if self._peft is None:
            self._peft = get_peft_model(self._base, config, adapter_name=LEARNER)
        else:
            self._peft.add_adapter(LEARNER, config)
            self._settle()

    def adopt(self, folder: Path) -> None:
        """Set the learner's weights to those in `folder`, of the learner's own layout, keeping the parameters."""
        module = self.learner()
        if self._peft is None or self._adapter is None:
            module.load_state_dict(self._load(folder).state_dict())
            return
        missing = set_peft_model_state_dict(self._peft, load_peft_weights(str(folder)), adapter_name=LEARNER)
        if missing.unexpected_keys:
            raise ValueError(f"{folder}: the adapter has weights that the learner lacks: {missing.unexpected_keys[:3]}")

    def export(self, folder: Path) -> None:
        """Write the learner as safetensors: PEFT layout if it is an adapter, else the library's own."""
        module = self.learner()
        if self._adapter is not None and self._peft is not None:
            self._peft.save_pretrained(str(folder), selected_adapters=[LEARNER])
            (folder / "README.md").unlink(missing_ok=True)
        else:
            cast(Saves, module).save_pretrained(folder)

    def _absent(self, name: str) -> str:
        return f"revision {name!r} is not installed; installed are {sorted(self.names)}"
