"""Run the Python code in CODE."""

import os

if __name__ == "__main__":
    exec(os.environ["CODE"])  # the code of the test itself
