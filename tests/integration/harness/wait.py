"""Waiting for something to become true, instead of for time to pass."""
import time

DEADLINE = 30.0


def wait_for(condition, what, seconds=DEADLINE):
    """The first true answer of condition(); fails the test when none comes in time."""
    end = time.monotonic() + seconds
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds:.0f} s in vain for {what}")
        time.sleep(0.02)
