"""The `hostcap` command."""
