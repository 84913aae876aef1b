"""The network source ``simbench``: benchmark networks by their code, read as pandapower nets."""
