output "landing_bucket" {
  description = "Where files are dropped, under table=<table>/year=<Y>/month=<M>/day=<D>/."
  value       = module.pipeline.landing_bucket
}

output "alert_subscriptions_pending" {
  description = "Who receives no alert yet: somebody must click the link in AWS's mail. As of the last apply."
  value       = module.pipeline.alert_subscriptions_pending
}

output "api_url" {
  description = "The look-up API: GET <api_url>/get?user=<name>, with the key in the header x-api-key."
  value       = module.pipeline.api_url
}

output "api_key" {
  description = "Its key: terraform output -raw api_key."
  value       = module.pipeline.api_key
  sensitive   = true
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
