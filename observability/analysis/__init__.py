"""Analysis of recorded spans and samples of any service, in pure functions; input comes from files alone."""
