"""The modular monolith: one process, all contexts, calls in process."""
