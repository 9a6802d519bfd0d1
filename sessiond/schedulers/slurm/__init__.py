"""The dialect of Slurm."""
