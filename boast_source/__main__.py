"""`python -m boast_source …` is the command `boast`."""

from boast_source.cli import main

main()
