"""Tests of the rules and settings of inventory."""
