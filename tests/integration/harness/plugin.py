"""Building plugins outside the tree."""
import subprocess


def build_plugin(name, code, folder, *flags):
    """NAME.so in folder, from one `cc` line; returns its path."""
    source, module = folder / f"{name}.c", folder / f"{name}.so"
    source.write_text(code)
    done = subprocess.run(["cc", "-shared", "-fPIC", "-o", module, source, *flags],
                          capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return module
