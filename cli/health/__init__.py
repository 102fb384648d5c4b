"""What `tm doctor` looks at, one module for each part of a stack."""
