"""`python -m isogloss`."""

from isogloss.cli.commands import main

main()
