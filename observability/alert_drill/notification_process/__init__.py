"""Notification as a drill runs it."""
