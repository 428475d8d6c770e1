"""Figures: Solva and a real Docker on one machine, in turn. docs/bench.md tells how to read and how to add one.

    python -m tools.bench [--only NAME ...] [--runs N] [--json FILE] [--list] [--alone]
"""
