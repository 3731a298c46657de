"""`python -m boast_source …` is the command `boast`."""

from boast_source.commands.main import main

main()
