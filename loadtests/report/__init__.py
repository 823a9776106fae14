"""The report of a comparison, HTML and Markdown, made from its saved results alone."""
