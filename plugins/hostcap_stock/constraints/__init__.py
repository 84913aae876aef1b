"""Stock limits: ``voltage`` and ``thermal``."""
