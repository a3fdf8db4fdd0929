"""`python -m fun.run --help`: the groups with their choices; each field of what is chosen, its value and meaning."""

import ast
import copy
import inspect
import itertools
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from pydantic import BaseModel

from fun.config.choices import Chosen
from fun.config.compose import composed, hydra_is_up
from fun.config.rules import fill
from fun.config.schema import RunConfig
from fun.paths import CONFIG_DIR

TITLE = "python -m fun.run: train a task adapter in English on an unfreezing schedule, evaluate it in every language"

EXAMPLES = """\
One run:            python -m fun.run task=mnli schedule=gu seed=0
A sweep:            python -m fun.run -m schedule=gu,fun seed=0,1,2,3
Look first:         python -m fun.run schedule=fun dry_run=true
A language adapter: python -m fun.run task=mlm lang=th model=mbert
A Fisher:           python -m fun.run task=fisher lang=fr model=mbert
Fields of a choice: python -m fun.run --help schedule=fun adapter=lora"""

FIELDS = "Fields of what is chosen, typed as field=value; null where neither you nor the paper gives a value:"

COLUMN = 42
"""Where the meaning of a field begins."""


def help_text(overrides: Sequence[str]) -> str:
    """The help for the choices and values of `overrides`. Raises ConfigError for what Hydra does not compose."""
    values = copy.deepcopy(composed(overrides))  # what is composed is shared
    fill(values, values["paper"]["rules"])
    values["paper"] = values["paper"]["name"]
    names = [name for name in RunConfig.model_fields if name in values]
    names.sort(key=lambda name: not isinstance(values[name], dict))  # what stands alone comes last
    fields = [line for name in names for line in _section(name, values[name])]
    return "\n".join([TITLE, "", "Choices, typed as group=choice:", *_groups(), "", EXAMPLES, "", FIELDS, *fields])


def _groups() -> Iterator[str]:
    names = sorted({folder.name for folder in CONFIG_DIR.iterdir() if folder.is_dir()} - {"hydra", "datasets"})
    with hydra_is_up() as loader:
        for name in [*names, "hydra/launcher"]:
            yield f"  {name:<18}{' '.join(loader.get_group_options(name))}"


def _section(name: str, content: Any) -> Iterator[str]:
    """The lines of a section, or of a field that stands alone."""
    field = RunConfig.model_fields[name]
    meaning = docstrings(RunConfig).get(name, "")
    if not isinstance(content, dict):
        yield from _field(name, content, meaning)
        return
    chosen = next((part for part in field.metadata if isinstance(part, Chosen)), None)
    section: Any = chosen.classes[content[chosen.by]] if chosen else field.annotation
    meanings: Mapping[str, str] = {}
    if isinstance(section, type):
        meaning, meanings = inspect.cleandoc(section.__doc__ or "").splitlines()[0], docstrings(section)
    yield f"\n{name}={content['name']}: {meaning}" if "name" in content else f"\n{name}: {meaning}"
    for key, value in content.items():
        if key not in ("name", chosen.by if chosen else "name"):
            yield from _field(f"{name}.{key}", value, meanings.get(key, ""))


def _field(name: str, value: Any, meaning: str) -> Iterator[str]:
    text = "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    typed = f"  {name}={text}"
    lines = textwrap.wrap(meaning, 120 - COLUMN)
    yield f"{typed:<{COLUMN}}{lines.pop(0)}" if lines and len(typed) < COLUMN else typed
    yield from (" " * COLUMN + line for line in lines)


def docstrings(section: type) -> Mapping[str, str]:
    """Field -> the string below it, in the class or in those that it extends."""
    texts: dict[str, str] = {}
    for base in reversed(section.__mro__):
        if base is BaseModel or "__annotations__" not in vars(base):
            continue
        for field, below in itertools.pairwise(_classes(base.__module__)[base.__name__].body):
            match field, below:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                    texts[name] = " ".join(inspect.cleandoc(text).split())
    return texts


@cache
def _classes(module: str) -> Mapping[str, ast.ClassDef]:
    """A module's classes as they are written: `inspect.getsource` would parse the module for each."""
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    return {node.name: node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
