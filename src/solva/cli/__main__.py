"""``python -m solva.cli``."""

from solva.cli.main import main

main()
