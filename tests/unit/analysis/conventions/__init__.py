"""Tests of the tables of conventions."""
