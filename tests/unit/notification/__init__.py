"""Tests of confirmations and of the settings of notification."""
