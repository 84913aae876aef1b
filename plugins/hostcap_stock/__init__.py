"""The plugins that ship with hostcap, registered through the same entry points as a stranger's."""
