"""Figures that only the recipes draw."""
