"""How the connector is installed with all its extras: one line, for messages and docs alike."""

INSTALL = 'pip install "boast-source[all] @ git+REPOSITORY@v0.2.0"'
INSTALL_ALL = f"Install all extras, with the address of the connector's repository for REPOSITORY: {INSTALL}"
