"""The solver ``power-grid-model``: asymmetric batches on the C++ engine of that name."""
