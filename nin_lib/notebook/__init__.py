"""Services for notebooks: cells in three frameworks, messages while a cell runs."""
