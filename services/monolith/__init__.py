"""Modular monolith: all contexts in one process, with in-process calls."""
