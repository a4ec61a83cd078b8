"""Several single-threaded processes training one model in shared memory.

On a shared machine two threads of one operation wait for the slower core all the time. Here each process takes the next
micro batch of the step when it is free, so a busy core delays a step by one micro batch at most.

    batch k --> | micro 0 | micro 1 | ... |   taken from a shared counter
    rank 0: own gradients --\\  barrier  /--> sum of all, updates the parameters it owns --\\ barrier
    rank 1: own gradients --/            \\--> sum of all, updates the parameters it owns --/
"""

import multiprocessing

import torch

from .optim import new_momenta


class Team:
    """What the processes share; made by the parent, handed to each worker. size 1 needs no barrier and no sharing."""

    def __init__(self, model: torch.nn.Module, size: int):
        self.size = size
        context = multiprocessing.get_context("spawn")
        self.barrier = context.Barrier(size) if size > 1 else None
        self.next_micro = context.Value("i", 0)
        self.orders = context.Array("d", [0.0, 0.0])  # learning-rate factor; 1 when the run is over
        self.losses = context.Array("d", [0.0] * size)
        self.gradients = [[torch.zeros_like(p) for p in model.parameters()] for _ in range(size)]
        self.momenta = new_momenta(model)
        if size > 1:
            model.share_memory()
            for tensor in [*sum(self.gradients, []), *self.momenta.values()]:
                tensor.share_memory_()

    def wait(self) -> None:
        if self.barrier is not None:
            self.barrier.wait()

    def take(self) -> int:
        """Number of the next micro batch of this step."""
        with self.next_micro.get_lock():
            self.next_micro.value += 1
            return self.next_micro.value - 1

    def bind(self, rank: int, model: torch.nn.Module) -> None:
        """Lets backward() accumulate into this process's shared gradients."""
        for parameter, gradient in zip(model.parameters(), self.gradients[rank]):
            parameter.grad = gradient

    def summed(self) -> list[torch.Tensor]:
        """Gradients of all processes added; to be read between two barriers."""
        return [sum(parts[1:], parts[0].clone()) for parts in zip(*self.gradients)]
