"""Use case of notification, and the ports it needs."""
