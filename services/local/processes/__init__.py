"""Child processes of a supervisor: start and stop, reapers that end orphans, a watch for failures, and clean-up."""
