"""The pandapower engine: network source and solver. The engine's state stays in this package."""
