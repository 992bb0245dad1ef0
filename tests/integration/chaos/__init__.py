"""Short campaigns against real platforms: the long ones are `make chaos`."""
