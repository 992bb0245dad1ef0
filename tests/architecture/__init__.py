"""Do the rules of the house hold, and would the linters see it if they did not?"""
