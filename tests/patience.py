"""How long a test waits for what must come: far longer than it takes on a slow machine with neighbours.

Such a wait ends as soon as it comes. What never comes ends the test, and nothing is said of how long anything took.
"""

PATIENCE_SECONDS = 300.0
