"""The checks of `tm doctor`, one module for each part of a stack."""
