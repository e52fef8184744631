"""Services for notebooks: cells in several frameworks, messages while a cell runs."""
