"""What ends the demo."""


class ChapterFailed(Exception):
    """Hub and device do not agree, or one of them did not do what the story says. The text is for
    the person who looks."""
