"""What the tests need to know of the build."""


def is_sanitized(build):
    """AddressSanitizer keeps what is freed, so memory can't be measured."""
    return b"__asan_init" in (build / "src/posternd").read_bytes()
