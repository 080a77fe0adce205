"""Figures: one function each, drawn from findings and fits, matplotlib axes in and out."""
