"""What a trace is used for: concentration of use, value of assets by user, what each user's mix emits.

Everything is a function of arrays and names, for Python users; the study ``trace-report`` puts it into tables.
"""
