"""Tests of the shop and its tools: each states one fact."""
