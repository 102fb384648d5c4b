output "landing_bucket" {
  description = "Name of the landing bucket. Upload files to table=<table>/year=<Y>/month=<M>/day=<D>/."
  value       = module.pipeline.landing_bucket
}

output "alert_subscriptions_pending" {
  description = "Email addresses that had not confirmed their subscription at the last apply: click the link in AWS's email."
  value       = module.pipeline.alert_subscriptions_pending
}

output "api_url" {
  description = "Base URL of the lookup API. A signed GET <api_url>/tables lists the tables; <api_url>/docs documents all routes."
  value       = module.pipeline.api_url
}

output "api_execution_arn" {
  description = "Execution ARN of the lookup API. Allow callers execute-api:Invoke on <api_execution_arn>/GET/*."
  value       = module.pipeline.api_execution_arn
}

output "dashboard_url" {
  description = "URL of the CloudWatch dashboard."
  value       = module.pipeline.dashboard_url
}

output "stack" {
  description = "All outputs of the module, which tm reads: tm --stack <this folder>."
  value       = module.pipeline
  sensitive   = true
}
