"""The use cases of notification, and what they need."""
