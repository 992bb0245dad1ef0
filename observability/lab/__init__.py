"""The lab: makes demand, sends it, and says whether what it measured can be believed."""
