"""Report of a finished trial: one self-contained HTML page, made from the trial's folder alone."""
