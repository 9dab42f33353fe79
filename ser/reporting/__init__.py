"""Figures, tables, HTML and Markdown reports, and the model card."""
