"""Selection of sub-networks from Fisher information."""
