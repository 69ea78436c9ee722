"""Recipes of tables and figures. Each module has a dictionary `RECIPES`, whose keys are targets of `reproduce`."""
