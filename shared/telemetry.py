"""Logs and metrics, the same in every function: JSON lines, and figures in CloudWatch's EMF."""

from aws_lambda_powertools import Logger, Metrics

logger = Logger()
"""Named by POWERTOOLS_SERVICE_NAME, which Terraform sets to the function's name."""


def metrics() -> Metrics:
    """Return a collector of metrics in the namespace POWERTOOLS_METRICS_NAMESPACE."""
    return Metrics()
