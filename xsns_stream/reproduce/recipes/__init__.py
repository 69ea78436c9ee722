"""One recipe a file, named as the target; each holds `RECIPE`."""
