"""A consistent listing of a list that moves, and its comparison with the warehouse."""
