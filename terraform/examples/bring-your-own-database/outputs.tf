output "landing_bucket" {
  description = "Where files are dropped, under table=<table>/year=<Y>/month=<M>/day=<D>/."
  value       = module.pipeline.landing_bucket
}

output "alert_subscriptions_pending" {
  description = "Who receives no alert yet: somebody must click the link in AWS's mail. As of the last apply."
  value       = module.pipeline.alert_subscriptions_pending
}

output "api_url" {
  description = "The look-up API: GET <api_url>/tables, signed, lists the tables; <api_url>/docs says what else."
  value       = module.pipeline.api_url
}

output "api_execution_arn" {
  description = "The look-up API as IAM knows it: allow its callers execute-api:Invoke on <api_execution_arn>/GET/*."
  value       = module.pipeline.api_execution_arn
}

output "stack" {
  description = "Everything that the command tm asks for: tm --stack <this folder>."
  value       = module.pipeline
  sensitive   = true
}

output "database_routes_needed" {
  description = "What must be reached from the subnets; nothing has checked it."
  value       = module.pipeline.database_routes_needed
}
