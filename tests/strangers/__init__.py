"""Live systems that nobody of this project wrote, recorded once and diagnosed."""
