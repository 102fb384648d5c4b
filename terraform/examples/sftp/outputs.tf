output "landing_bucket" {
  description = "Name of the landing bucket. Upload files to table=<table>/year=<Y>/month=<M>/day=<D>/."
  value       = module.pipeline.landing_bucket
}

output "alert_subscriptions_pending" {
  description = "Email addresses that had not confirmed their subscription at the last apply: click the link in AWS's email."
  value       = module.pipeline.alert_subscriptions_pending
}

output "stack" {
  description = "All outputs of the module, which tm reads: tm --stack <this folder>."
  value       = module.pipeline
  sensitive   = true
}

output "sftp_host" {
  description = "Host to which suppliers connect: sftp -i <private key> <supplier>@<host>. Null without enable_sftp."
  value       = one(aws_transfer_server.sftp[*].endpoint)
}
