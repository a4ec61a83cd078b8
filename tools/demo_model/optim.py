"""Muon for the matrices of the layers, AdamW for the embedding and the norms, and the learning-rate schedule."""

import torch


def orthogonalise(stack: torch.Tensor, steps: int = 5) -> torch.Tensor:
    """Newton-Schulz iteration: stack [n, rows, cols] f32 -> the nearest semi-orthogonal matrices, roughly (Jordan 2024)."""
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = stack.shape[1] > stack.shape[2]
    x = (stack.transpose(1, 2) if tall else stack).bfloat16()
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.transpose(1, 2)
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x.transpose(1, 2) if tall else x).float()


class Muon:
    """Momentum with orthogonalised updates; matrices of one shape are worked on as one stack."""

    def __init__(self, parameters, momentum: float = 0.95):
        self.momentum = momentum
        self.groups = {}
        for parameter in parameters:
            self.groups.setdefault(tuple(parameter.shape), []).append(parameter)
        self.buffers = {shape: torch.zeros(len(group), *shape) for shape, group in self.groups.items()}

    @torch.no_grad()
    def step(self, lr: float, weight_decay: float) -> None:
        for shape, group in self.groups.items():
            buffer = self.buffers[shape].to(group[0].device)
            self.buffers[shape] = buffer
            gradient = torch.stack([p.grad for p in group])
            buffer.lerp_(gradient, 1 - self.momentum)
            update = orthogonalise(gradient.lerp(buffer, self.momentum)) * max(1.0, shape[0] / shape[1]) ** 0.5
            for parameter, change in zip(group, update):
                parameter.mul_(1 - lr * weight_decay).sub_(change, alpha=lr)


class Optimizer:
    """Both optimizers behind one learning-rate factor."""

    def __init__(self, model, muon_lr: float = 0.02, adam_lr: float = 3e-3, weight_decay: float = 0.02):
        named = list(model.named_parameters())
        self.muon = Muon([p for name, p in named if p.ndim == 2 and "embed" not in name])
        self.adam = torch.optim.AdamW([p for name, p in named if p.ndim != 2 or "embed" in name], lr=adam_lr, betas=(0.9, 0.98), weight_decay=0.0)
        self.muon_lr, self.adam_lr, self.weight_decay = muon_lr, adam_lr, weight_decay

    def step(self, factor: float) -> None:
        self.muon.step(self.muon_lr * factor, self.weight_decay)
        for group in self.adam.param_groups:
            group["lr"] = self.adam_lr * factor
        self.adam.step()
        self.adam.zero_grad(set_to_none=True)
        for group in self.muon.groups.values():
            for parameter in group:
                parameter.grad = None

    def state_dict(self) -> dict:
        return {"muon": self.muon.buffers, "adam": self.adam.state_dict()}

    def load_state_dict(self, state: dict) -> None:
        self.muon.buffers = state["muon"]
        self.adam.load_state_dict(state["adam"])


def lr_factor(progress: float, step: int, warmup: int = 60, decay: float = 0.4) -> float:
    """Warm-up by steps, constant, then linear to zero over the last `decay` of the run; progress is 0..1."""
    return min(1.0, (step + 1) / warmup) * max(0.0, min(1.0, (1.0 - progress) / decay))
