"""`python -m errorbook` is the same as `errorbook`."""

from errorbook.cli import main

main()
