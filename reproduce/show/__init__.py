"""Tables, figures and the page, as text, CSV, LaTeX, PNG and HTML."""
