"""What the integration tests stand on: a running posternd, a real Postfix, and their clients."""
