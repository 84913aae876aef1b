"""What every network source says about a model, whatever its engine: customers, and findings."""
