"""Sub-networks: selected from Fisher information, exported to files."""
