"""The jobs that a scheduler or a script runs. Each returns a result and prints nothing."""
