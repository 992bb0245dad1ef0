"""Semantic conventions: reads the spans of many instrumentations in one form; a module for each subject."""
