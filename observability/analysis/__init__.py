"""Pure functions over spans and samples of any service: no input or output but the files they are given to read."""
