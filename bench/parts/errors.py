class BenchError(Exception):
    """Why nothing could be measured, and what to do."""


class LeftOut(Exception):
    """Why a part of the figures can't be had on this machine; the others can."""
