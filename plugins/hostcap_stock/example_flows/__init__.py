"""Flows that ship: small published systems to try tracing on."""
