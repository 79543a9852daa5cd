"""The interactive charts of the page."""
