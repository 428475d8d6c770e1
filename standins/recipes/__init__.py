"""A module for each stage: what it is made from, and how."""
