"""The solver ``batched``: many states of one frozen network at once, without an engine."""
