"""`tm`, the operator's command."""
