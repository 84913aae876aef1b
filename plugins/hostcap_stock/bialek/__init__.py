"""The tracer ``bialek``: proportional sharing of flows among generators and loads."""
