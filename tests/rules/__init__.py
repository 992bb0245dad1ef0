"""Tests of the rules: their cases, mutants, files and names."""
