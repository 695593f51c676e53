"""Procedural finance tasks: statements, question families, demonstrations."""
