"""What is assumed of clocks."""

# Two machines' clocks may differ by up to this. Past it a moment is taken for a wrong clock's.
CLOCK_OFF_S = 15 * 60
