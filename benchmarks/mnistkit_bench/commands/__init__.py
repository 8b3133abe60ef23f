"""The commands bench and recommend."""
