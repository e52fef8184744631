"""Run-time services of a training run: the machine, checkpoints, processes, interrupts."""
