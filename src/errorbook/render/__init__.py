"""Numbers as words, tables and pictures: the terminal, HTML, Markdown and the book's pages."""
