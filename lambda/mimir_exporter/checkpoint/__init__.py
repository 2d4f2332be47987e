"""What is exported, what is pending, what failed: one object, changed by compare-and-swap."""
