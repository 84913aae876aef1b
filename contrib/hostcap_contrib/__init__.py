"""Plugins with an outside dependency or owner; same interfaces, same kit. No resident yet."""
