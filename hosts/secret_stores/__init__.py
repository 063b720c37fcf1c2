"""References to secrets that are kept elsewhere, and the stores that they name."""
