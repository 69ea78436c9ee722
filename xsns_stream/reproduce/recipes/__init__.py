"""Recipes of tables and figures. Each module has a dictionary `RECIPES` of its targets."""
