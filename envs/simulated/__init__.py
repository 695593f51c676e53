"""Simulated finance worlds to be worked in with tools, each with tasks, gold calls and faults."""
