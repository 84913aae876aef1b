"""Profiles: what customers do over time, and named series."""
