"""Solva: a container engine and Compose for Linux."""

__version__ = "0.1.0"
