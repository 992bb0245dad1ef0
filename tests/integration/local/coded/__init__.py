"""Program that runs the code of an environment variable."""
