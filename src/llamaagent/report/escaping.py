"""Text as HTML and XML may hold it: what html.escape does, whose import loads every named character there is."""


def escape(text: str) -> str:
    """For text and for attributes in quotes of either kind."""
    for mark, name in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;"), ("'", "&#x27;")):
        text = text.replace(mark, name)
    return text
