"""Where solved flows to trace come from: ``vspd``, ``vspd-monthly``, ``table`` and ``power-flow``."""
