"""Are the rules right? Their cases, their mutants, their files and their names."""
