"""Slurm: what this cluster calls things, the jobs that run there, and what they used."""
