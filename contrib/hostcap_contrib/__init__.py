"""Plugins with an outside dependency or owner; same interfaces, same kit. Each has a README: owner, status, checks."""
