"""What a run reads, with a content key each: its identity, and the configuration whose inputs are there."""

from fun.config.data import evaluations, languages, source, test_sets
from fun.inputs.composition import compose, from_values, search
from fun.inputs.identity import SEMANTICS, flat, identity_of
from fun.inputs.inputs import (
    Encoder,
    Input,
    Rows,
    adapter_origins,
    evaluation_inputs,
    evaluation_keys,
    fishers,
    identity,
    inputs_of,
    keys,
    language_adapters,
    run_folder,
    run_id,
    training_inputs,
)
