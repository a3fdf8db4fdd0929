"""Sections that are choices: an object of the class that the section's name is registered under, and nothing else.

A choice is a frozen dataclass, so its fields are those that its yaml may have. Typed by pydantic: strictly, and a list
is a tuple. What a choice refuses itself (`__post_init__`) is told as it says it.
"""

import dataclasses
import difflib
import json
import math
from collections.abc import Mapping
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError, core_schema

from fun.registry import Registry


@dataclasses.dataclass(frozen=True, eq=False)
class Chosen:
    """Annotates a section of the configuration: the `classes` that it may be, and the field `by` that says which."""

    group: str
    classes: Mapping[str, type]
    by: str = "name"

    @classmethod
    def of(cls, registry: Registry) -> "Chosen":
        """For a registry, which knows the rest."""
        return cls(registry.group, registry, registry.by)

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.typed)

    def typed(self, values: Any) -> Any:
        """The choice that a section's values describe. Raises ValidationError."""
        if not isinstance(values, Mapping):  # built already
            return values
        kind = str(values.get(self.by))
        if kind not in self.classes:
            raise self._wrong(self.by, kind, f"expected one of {', '.join(sorted(self.classes))}")
        names = field_names(self.classes[kind])
        fields = {name: value for name, value in values.items() if name in names or name != self.by}
        for name, value in fields.items():
            if name not in names:
                near = difflib.get_close_matches(name, names, n=1)
                has = f"did you mean {near[0]}?" if near else f"it has {', '.join(names) or 'none'}"
                raise self._wrong(name, value, f"{self.group}={values.get('name', kind)} has no such field: {has}")
            if isinstance(value, float) and not math.isfinite(value):
                raise self._wrong(name, value, "expected a finite number")
        # As JSON a list may become a tuple although every other type has to be the right one.
        return _adapter(self.classes[kind]).validate_json(json.dumps(fields), strict=True)

    def _wrong(self, field: str, value: Any, message: str) -> ValidationError:
        # A message is no template: what was typed may have braces.
        custom = PydanticCustomError("choice", "{message}", {"message": message})
        details = InitErrorDetails(type=custom, loc=(field,), input=value)
        return ValidationError.from_exception_data(self.group, [details])


def field_names(choice: Any) -> list[str]:
    """The fields of a choice, or of its class."""
    return [field.name for field in dataclasses.fields(choice)]


def active_fields(choice: Any) -> dict[str, Any]:
    """A choice as the identity has it: its name, and its fields that have a value and say what it does."""
    return {"name": choice.name} | {
        field.name: list(value) if isinstance(value, tuple) else value  # as a record's JSON has it
        for field in dataclasses.fields(choice)
        if (value := getattr(choice, field.name)) is not None and field.metadata.get("identity", True)
    }


@cache
def _adapter(chosen: type) -> TypeAdapter[Any]:
    return TypeAdapter(chosen)
