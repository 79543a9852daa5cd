"""From tables to figures, sentences and one page; no torch."""
