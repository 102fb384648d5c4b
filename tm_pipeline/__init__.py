"""The installed package of the operator's command `tm`."""
