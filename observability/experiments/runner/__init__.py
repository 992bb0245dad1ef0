"""Runner of trials: runs an experiment with its bottleneck and with its fix, records, diagnoses and scores."""
