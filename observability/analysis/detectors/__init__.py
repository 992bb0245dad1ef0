"""The suspects: one file a class of bottleneck, and `finding`, which asks all of them."""
