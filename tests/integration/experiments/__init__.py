"""Tests of the experiments' runner on real processes."""
