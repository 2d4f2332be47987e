"""A run, from what is due to what came of it: a regular one, a range again, an item of the Map."""
