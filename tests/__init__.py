"""Tests of the shop, the platform and the lab: each states one fact."""
