"""Values that two contexts share. Standard library only."""
