"""Mechanisms without business words, shared by all contexts."""
