"""Muon for the matrices of the layers, AdamW for the embedding and the norms, and the learning-rate schedule."""

import torch

CONSTANT = "draft."  # parameters of this prefix keep their learning rate (joint.py)


def orthogonalise(stack: torch.Tensor, steps: int = 5) -> torch.Tensor:
    """stack [n, rows, cols] f32 -> roughly the nearest semi-orthogonal matrices.

    Newton-Schulz iteration in BF16 with the quintic coefficients of Jordan's Muon (2024).
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = stack.shape[1] > stack.shape[2]
    x = (stack.transpose(1, 2) if tall else stack).bfloat16()
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.transpose(1, 2)
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x.transpose(1, 2) if tall else x).float()


def new_momenta(model) -> dict[str, torch.Tensor]:
    """Zero momentum of every matrix that Muon handles, by parameter name."""
    named = model.named_parameters()
    return {n: torch.zeros_like(p) for n, p in named if p.ndim == 2 and "embed" not in n}


class Optimizer:
    """Both optimizers behind one learning-rate factor.

    `momenta` comes from new_momenta. With several processes it and the parameters lie in shared memory and every process updates the ones it
    owns: matrix k belongs to process k mod size, all that AdamW handles to process 0.
    """

    def __init__(self, model, momenta: dict, args, rank: int = 0, size: int = 1):
        self.parameters = list(model.named_parameters())
        self.rank, self.muon_lr, self.adam_lr = rank, args.muon_lr, args.adam_lr
        self.weight_decay, self.momentum, self.momenta = 0.02, 0.95, momenta
        self.owned = {name for k, name in enumerate(momenta) if k % size == rank}
        others = [(n, p) for n, p in self.parameters if n not in momenta]
        constant = [p for n, p in others if n.startswith(CONSTANT)]
        decaying = [p for n, p in others if not n.startswith(CONSTANT)]
        groups = [{"params": decaying, "constant": False}, {"params": constant, "constant": True}]
        groups = [group for group in groups if group["params"]]
        self.adam = torch.optim.AdamW(groups, lr=args.adam_lr, betas=(0.9, 0.98), weight_decay=0.0)

    @torch.no_grad()
    def step(self, gradients: list[torch.Tensor], factor: float) -> None:
        """Updates the owned parameters; gradients are in the order of named_parameters."""
        norm = torch.stack([g.norm() for g in gradients]).norm().item()
        clip = min(1.0, 1.0 / (norm + 1e-6))
        groups: dict[tuple, list] = {}
        for (name, parameter), gradient in zip(self.parameters, gradients):
            if name in self.owned:
                key = (tuple(parameter.shape), name.startswith(CONSTANT))
                groups.setdefault(key, []).append((name, parameter, gradient))
            elif name not in self.momenta and self.rank == 0:
                parameter.grad = gradient * clip
        for (shape, constant), group in groups.items():
            self._muon(shape, group, clip, self.muon_lr * (1.0 if constant else factor))
        if self.rank == 0:
            for settings in self.adam.param_groups:
                settings["lr"] = self.adam_lr * (1.0 if settings["constant"] else factor)
            self.adam.step()

    def _muon(self, shape: tuple, group: list, clip: float, lr: float) -> None:
        """One Nesterov step for matrices of one shape, orthogonalised as a stack."""
        updates = []
        for name, _, gradient in group:
            gradient = gradient * clip
            self.momenta[name].lerp_(gradient, 1 - self.momentum)
            updates.append(gradient.lerp(self.momenta[name], self.momentum))
        scale = max(1.0, shape[0] / shape[1]) ** 0.5
        for (_, parameter, _), update in zip(group, orthogonalise(torch.stack(updates))):
            parameter.mul_(1 - lr * self.weight_decay).sub_(update, alpha=lr * scale)


def lr_factor(progress: float, step: int, warmup: int = 60, decay: float = 0.4) -> float:
    """Warm-up by steps, constant, then linear to zero over the last `decay`; progress is 0..1."""
    return min(1.0, (step + 1) / warmup) * max(0.0, min(1.0, (1.0 - progress) / decay))
