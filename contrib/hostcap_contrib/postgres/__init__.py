"""The writer ``postgres``: the tables of a run in a PostgreSQL database, all of them or none."""
