"""What can be run from a schedule or a script: each job returns what it did, and prints nothing."""
