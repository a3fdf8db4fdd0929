"""An encoder with what is tuned on it and a head: what trains, and what stays frozen below it."""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from pathlib import Path

import torch
from torch import Tensor

from fun.errors import AdapterMissing, ConfigError, RunError
from fun.models.blocks import Block
from fun.models.encoders import load_encoder
from fun.models.heads import Head
from fun.models.language_adapters import load_language_adapter
from fun.models.tuning import Tuning


@dataclass(eq=False)
class TaskModel:
    """Encoder, language adapters, what is tuned (a task adapter, or the encoder itself) and its head.

    `module` is the adapters-library model. `blocks` maps each layer to its parameters that train once it is open;
    `unscheduled` are those that always train: the head, and what the tuning says. Everything else is frozen. The
    initial weights depend on `init_seed` alone. `commits` says what was read from the hub so far, {repository: commit}.

    `language_adapters` maps each language to the origin of its adapter, or to None where it has none; where it is
    empty, inputs go through what is tuned alone.
    """

    source: str
    tuning: Tuning
    head: Head
    _: KW_ONLY
    name: str
    language_adapters: Mapping[str, str | None]
    init_seed: int
    revision: str | None = None
    dropout: float | None = None
    results: Path = Path("results")

    def __post_init__(self) -> None:
        name, self.artifact = self.name, self.tuning.artifact
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.init_seed)
            encoder = load_encoder(self.source, self.revision, self.dropout)
            self.module, self.tokenizer, self.pooler, self.commits = encoder
            self.pad_id = int(self.tokenizer.pad_token_id)
            torch.manual_seed(self.init_seed)  # whatever loading drew
            self.tuning.attach(self.module, name)
            self.head.add_to(self.module, name)
        if not self.pooler and self.module.heads[name].config.get("use_pooler"):
            raise ConfigError(f"{self.source} has no pretrained pooler: type model.pooler=false model.head_layers=2")
        for published in self.module.heads.keys() - {name}:
            self.module.delete_head(published)
        self.blocks: dict[int, Block] = self.tuning.blocks(self.module, name)
        always = self.tuning.always(self.module, name)
        self.unscheduled: Block = {
            n: parameter
            for n, parameter in self.module.named_parameters()
            if n in always or (n.startswith(f"heads.{name}.") and parameter.requires_grad)
        }
        self._freeze_the_rest()

    def parameters(self) -> Block:
        """All parameters that may train, by name: the layers' from bottom to top, then the unscheduled ones."""
        return {n: p for block in (*self.blocks.values(), self.unscheduled) for n, p in block.items()}

    def anchored(self) -> Block:
        """Those of `parameters` that have a pretrained value: not the head's, nor those of a pooler that has none."""
        lacking = ("heads.",) if self.pooler else ("heads.", f"{self.module.base_model_prefix}.pooler.")
        return {name: parameter for name, parameter in self.parameters().items() if not name.startswith(lacking)}

    def activate(self, language: str) -> None:
        """Send inputs through the language adapter of `language`, if the run uses them, and what is tuned. Raises
        AdapterMissing for a language without one, and as `load_language_adapter` does."""
        if self.language_adapters and language not in self.module.adapters_config:
            if (origin := self.language_adapters.get(language)) is None:
                raise AdapterMissing(f"there is no language adapter for {language}")
            # New modules are initialised before they are filled; no random stream may notice.
            with torch.random.fork_rng(devices=[]):
                self.commits |= load_language_adapter(self.module, language, origin, self.results)
            self.module.to(self.device)
            self._freeze_the_rest()
        self.tuning.activate(self.module, self.name, language if self.language_adapters else None)
        self.module.active_head = self.name

    @property
    def device(self) -> torch.device:
        return next(iter(self.unscheduled.values())).device

    def state(self) -> dict[str, Tensor]:
        """A copy of the parameters that may train, on the CPU."""
        return {name: parameter.detach().cpu().clone() for name, parameter in self.parameters().items()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Put back a copy that `state` made. Raises ValueError if it has other parameters."""
        parameters = self.parameters()
        if set(state) != set(parameters):
            raise ValueError(f"the saved state has other parameters: {sorted(set(state) ^ set(parameters))[:3]} …")
        with torch.no_grad():
            for name, parameter in parameters.items():
                parameter.copy_(state[name])

    def save(self, folder: Path) -> None:
        """Write what was trained, in the form that its tuning says."""
        folder.mkdir(parents=True, exist_ok=True)
        self.tuning.save(self.module, self.name, folder, self.tokenizer, head=self.head.saved)

    def load(self, folder: Path) -> None:
        """Read back what `save` wrote. Raises RunError where the head was not saved: nothing can be scored with it."""
        if not self.head.saved:
            raise RunError(f"the head that {self.name} was trained with is gone: to train it again, type force=true")
        with torch.random.fork_rng(devices=[]):  # as above
            self.tuning.load(self.module, self.name, folder)

    def _freeze_the_rest(self) -> None:
        ours = self.parameters()
        for name, parameter in self.module.named_parameters():
            if name not in ours:
                parameter.requires_grad_(False)
