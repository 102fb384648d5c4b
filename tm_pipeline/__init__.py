"""The operator's command, installed: the one package that it puts beside those of others."""
