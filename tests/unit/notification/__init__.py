"""The words of notification, and when it tries again."""
