"""Scoring must not disturb training: it borrows the model and returns it as found."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def undisturbed(model: nn.Module, parameters: Iterable[nn.Parameter]) -> Iterator[None]:
    """Lends `model` in eval mode, with `.grad` None everywhere and requires_grad on for `parameters`.

    On leaving, also by an exception, all is as before: train or eval mode of every module, requires_grad and
    `.grad` of every parameter, torch's global random state on the CPU and on the model's CUDA devices. The
    paper copies the model instead (Algorithm 2, line 1).
    """
    modes = [(module, module.training) for module in model.modules()]
    flags = [(parameter, parameter.requires_grad, parameter.grad) for parameter in model.parameters()]
    devices = {parameter.device for parameter in model.parameters() if parameter.device.type == "cuda"}
    with torch.random.fork_rng(devices=list(devices)), torch.enable_grad():
        try:
            model.eval()
            model.zero_grad(set_to_none=True)
            for parameter in parameters:
                parameter.requires_grad_(True)
            yield
        finally:
            for module, training in modes:
                module.training = training
            for parameter, requires_grad, gradient in flags:
                parameter.requires_grad_(requires_grad)
                parameter.grad = gradient
