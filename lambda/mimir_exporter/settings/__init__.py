"""The settings of one deployment, from the environment of the function."""
