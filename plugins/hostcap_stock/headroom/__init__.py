"""Headroom studies."""
