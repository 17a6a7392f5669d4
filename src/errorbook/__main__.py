"""`python -m errorbook` is the same as `errorbook`."""

from errorbook.cli.main import main

main()
