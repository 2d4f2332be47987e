"""Time: windows, intervals, and the moment at which an invocation must end."""
