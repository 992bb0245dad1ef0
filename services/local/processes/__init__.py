"""Child processes of a supervisor: guarded, watched, and cleaned up after."""
