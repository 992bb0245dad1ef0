"""Conventions: how instrumentations of all kinds describe operations, read by one table for each subject."""
