"""What tests in Python share that start the binary on loopback: which it is, and on which ports."""

import os
import random
import socket
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def binary() -> Path:
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    path = Path(os.environ.get("LECTERN_BIN", target / "debug" / "lectern"))
    if not path.exists():
        sys.exit(f"{path} is missing: build it, or name it in LECTERN_BIN")
    return path


def free_ports(count: int) -> list[int]:
    """Ports that are free now, from where the system gives none to others (net.ipv4.ip_local_port_range)."""
    found: list[int] = []
    while len(found) < count:
        port = random.randint(12_000, 30_000)
        try:
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                with socket.socket(socket.AF_INET, kind) as held:
                    held.bind(("127.0.0.1", port))
        except OSError:
            continue
        if port not in found:
            found.append(port)
    return found
