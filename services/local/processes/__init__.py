"""Child processes of a supervisor, with guards, a watch for failures, and clean-up."""
