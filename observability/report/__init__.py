"""Reports of demos and of experiments, as pages, and the charts both are drawn with."""
