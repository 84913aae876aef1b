"""The study ``trace``: who uses what, period by period, as means of days, months and years."""
