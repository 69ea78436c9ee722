"""Recipes of tables and figures; each module has a dictionary `RECIPES` of the targets that it makes."""
