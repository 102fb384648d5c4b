output "name" {
  description = "The prefix of every resource's name, to find them by."
  value       = var.name
}

output "region" {
  description = "The region that the stack is in. tm reads it."
  value       = local.region
}

output "landing_bucket" {
  description = "The bucket that files are dropped into, under table=<table>/year=<Y>/month=<M>/day=<D>/. tm reads it."
  value       = aws_s3_bucket.this["landing"].bucket
}

output "staging_bucket" {
  description = "The bucket with the cleaned rows, the rejects and the report of each run. tm reads it."
  value       = aws_s3_bucket.this["staging"].bucket
}

output "config_bucket" {
  description = "The bucket with the contracts, as deployed/<contracts_hash>.json, and with the former sets under kept/, for 30 days."
  value       = aws_s3_bucket.this["config"].bucket
}

output "contracts_hash" {
  description = "The SHA-256 of the deployed set of contracts. The functions log it, and each ingestion's log item has that of its run."
  value       = local.contracts_hash
}

output "log_table" {
  description = "The DynamoDB table with one item per ingestion. tm reads it."
  value       = aws_dynamodb_table.log.name
}

output "topic_arn" {
  description = "The SNS topic that every alert goes to, for subscribers of your own."
  value       = aws_sns_topic.alerts.arn
}

output "alert_subscriptions_pending" {
  description = "Which e-mail addresses, HTTPS addresses and queues receive nothing until they have confirmed: somebody clicks the link in AWS's mail, an HTTPS address or another account's queue visits the SubscribeURL that it was sent. As of the last apply."
  value = [
    for each in concat(
      values(aws_sns_topic_subscription.email),
      values(aws_sns_topic_subscription.endpoint),
      values(aws_sns_topic_subscription.queue),
    ) : each.endpoint if each.pending_confirmation
  ]
}

output "state_machine_arn" {
  description = "The state machine that takes a file through Transform, Test and Load. tm reads it."
  value       = aws_sfn_state_machine.ingestion.arn
}

output "max_concurrency" {
  description = "How many files are in the state machine at once. tm reads it."
  value       = var.max_concurrency
}

output "function_names" {
  description = "The name of each function on Lambda, for alarms of your own. tm reads it."
  value       = { for name, function in aws_lambda_function.this : name => function.function_name }
}

output "image_uris" {
  description = "The image that each function runs, by digest, to deploy the same elsewhere; null with function_zip."
  value       = local.image_uris
}

output "database_host" {
  description = "Where PostgreSQL is. A created one answers in its own network only; people reach it by the Data API."
  value       = local.database.host
}

output "database_port" {
  description = "The port of PostgreSQL there."
  value       = local.database.port
}

output "database_name" {
  description = "The database that the rows are in."
  value       = local.database.name
}

output "database_cluster_arn" {
  description = "The created cluster, as the Data API and the console's query editor ask for it; null when a database was given."
  value       = one(aws_rds_cluster.this[*].arn)
}

output "database_secret_arn" {
  description = "The secret of the created database's administrator, for the Data API too: RDS changes the password in it every week. Null when a database was given."
  value       = one(aws_rds_cluster.this[*].master_user_secret[0].secret_arn)
}

output "database_routes_needed" {
  description = "What must be reached from the subnets of database.vpc, which nothing has checked; null without them."
  value = try(var.database.vpc, null) == null ? null : join(" ", concat(
    ["From ${join(", ", var.database.vpc.subnet_ids)} the functions load, api and migrate must reach ${local.database.host}:${local.database.port} and S3, and load and api DynamoDB (gateway endpoints do for both, at no cost)."],
    local.database.auth == "secret" ? ["All three must reach Secrets Manager for their secrets: by an interface endpoint or a NAT gateway, which cost by the hour; auth = \"iam\" needs neither."] : [],
  ))
}

output "api_id" {
  description = "The identifier of the look-up API, for a domain of your own, with an empty base path."
  value       = aws_api_gateway_rest_api.lookup.id
}

output "api_url" {
  description = "The base URL of the look-up API: GET <api_url>/tables lists the tables, signed, or with the key in the header x-api-key; <api_url>/docs says what else. tm reads it."
  value       = aws_api_gateway_stage.prod.invoke_url
}

output "api_execution_arn" {
  description = "The look-up API as IAM knows it: allow its callers execute-api:Invoke on <api_execution_arn>/GET/*, or on that of one table: <api_execution_arn>/GET/tables/<table> and GET/tables/<table>/*."
  value       = aws_api_gateway_stage.prod.execution_arn
}

output "api_key" {
  description = "The key of the look-up API with api_auth = \"key\", else null. tm reads it."
  value       = one(aws_api_gateway_api_key.lookup[*].value)
  sensitive   = true
}

output "dashboard_url" {
  description = "The dashboard, in the console, for whoever is on call."
  value       = "https://${local.region}.console.aws.amazon.com/cloudwatch/home?region=${local.region}#dashboards/dashboard/${aws_cloudwatch_dashboard.this.dashboard_name}"
}

output "alarm_topic_arn" {
  description = "The second topic, which is told of the health as a whole; null without one."
  value       = var.alarm_topic_arn
}

output "version" {
  description = "The version of tm-pipeline that the module is part of. The tag Version has it, unless tags replace it, and the functions log it."
  value       = local.version
}
