"""Learning-rate schedules and weight averaging."""
