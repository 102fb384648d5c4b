output "name" {
  description = "Prefix of the name of every resource."
  value       = var.name
}

output "region" {
  description = "Region of the stack. tm reads it."
  value       = local.region
}

output "landing_bucket" {
  description = "Name of the landing bucket. Upload files to table=<table>/year=<Y>/month=<M>/day=<D>/. tm reads it."
  value       = local.landing.name
}

output "landing_bucket_needs" {
  description = "What the owner of landing_bucket must configure if it is in another account; examples/cross-account-landing uses it. event_pattern: of an EventBridge rule whose target is trigger_arn. bucket_statements: for the bucket's policy. key_statement: for the policy of its KMS key, if any. Null without landing_bucket."
  value = var.landing_bucket == null ? null : {
    event_pattern     = jsonencode(local.landing_events)
    trigger_arn       = aws_lambda_function.this["trigger"].arn
    bucket_statements = local.landing_statements
    key_statement = {
      Effect    = "Allow"
      Principal = { AWS = [for name in local.landing_readers : aws_iam_role.function[name].arn] }
      Action    = ["kms:Decrypt"]
      Resource  = "*"
    }
  }
}

output "staging_bucket" {
  description = "Name of the staging bucket, with the cleaned rows, rejected rows and report of each run. tm reads it."
  value       = aws_s3_bucket.this["staging"].bucket
}

output "config_bucket" {
  description = "Name of the config bucket. It contains the deployed contract set, deployed/<contracts_hash>.json, and for 30 days earlier sets under kept/."
  value       = aws_s3_bucket.this["config"].bucket
}

output "contracts_hash" {
  description = "SHA-256 of the deployed contract set. The functions log it, and the log item of each ingestion contains the hash that its run used."
  value       = local.contracts_hash
}

output "log_table" {
  description = "Name of the DynamoDB table with one item per ingestion. tm reads it."
  value       = aws_dynamodb_table.log.name
}

output "topic_arn" {
  description = "ARN of the SNS topic that receives every alert. Add your own subscriptions to it."
  value       = aws_sns_topic.alerts.arn
}

output "alert_subscriptions_pending" {
  description = "Email addresses, HTTPS endpoints and queues that had not confirmed their subscription at the last apply, and so receive no alerts. To confirm, click the link in AWS's email, or visit the SubscribeURL that the endpoint, or the queue of another account, received."
  value = [
    for each in concat(
      values(aws_sns_topic_subscription.email),
      values(aws_sns_topic_subscription.endpoint),
      values(aws_sns_topic_subscription.queue),
    ) : each.endpoint if each.pending_confirmation
  ]
}

output "state_machine_arn" {
  description = "ARN of the state machine that runs Transform, Test and Load for each file. tm reads it."
  value       = aws_sfn_state_machine.ingestion.arn
}

output "max_concurrency" {
  description = "Maximum number of concurrent executions of the state machine. tm reads it."
  value       = var.max_concurrency
}

output "function_names" {
  description = "Name of each Lambda function, e.g. for your own alarms. tm reads it."
  value       = { for name, function in aws_lambda_function.this : name => function.function_name }
}

output "image_uris" {
  description = "Image of each function, with its digest, e.g. to deploy the same images in another account. Null with function_zip."
  value       = local.image_uris
}

output "database_host" {
  description = "Host of PostgreSQL. The created database accepts connections only from its own network; use the Data API to query it."
  value       = local.database.host
}

output "database_port" {
  description = "Port of PostgreSQL."
  value       = local.database.port
}

output "database_name" {
  description = "Name of the database that contains the rows."
  value       = local.database.name
}

output "database_cluster_arn" {
  description = "ARN of the created cluster, for the Data API and the query editor of the console. Null if database is set."
  value       = one(aws_rds_cluster.this[*].arn)
}

output "database_secret_arn" {
  description = "ARN of the secret with the administrator's password of the created database, e.g. for the Data API. RDS rotates the password every week. Null if database is set."
  value       = one(aws_rds_cluster.this[*].master_user_secret[0].secret_arn)
}

output "database_routes_needed" {
  description = "Routes that the subnets of database.vpc need. Terraform does not check them. Null without database.vpc."
  value = try(var.database.vpc, null) == null ? null : join(" ", concat(
    ["From ${join(", ", var.database.vpc.subnet_ids)} the functions load, api and migrate must reach ${local.database.host}:${local.database.port} and S3, and load and api must reach DynamoDB (use gateway endpoints for S3 and DynamoDB; they are free)."],
    local.database.auth == "secret" ? ["All three must reach Secrets Manager through an interface endpoint or a NAT gateway, which are billed by the hour; auth = \"iam\" needs neither."] : [],
  ))
}

output "api_id" {
  description = "ID of the lookup API, e.g. for a custom domain name with an empty base path."
  value       = aws_api_gateway_rest_api.lookup.id
}

output "api_url" {
  description = "Base URL of the lookup API. GET <api_url>/tables lists the tables; sign the request, or send the key in the header x-api-key. <api_url>/docs documents all routes. tm reads it."
  value       = aws_api_gateway_stage.prod.invoke_url
}

output "api_execution_arn" {
  description = "Execution ARN of the lookup API. Allow callers execute-api:Invoke on <api_execution_arn>/GET/*, or for one table on <api_execution_arn>/GET/tables/<table> and <api_execution_arn>/GET/tables/<table>/*."
  value       = aws_api_gateway_stage.prod.execution_arn
}

output "api_key" {
  description = "API key of the lookup API if api_auth = \"key\", otherwise null. tm reads it."
  value       = one(aws_api_gateway_api_key.lookup[*].value)
  sensitive   = true
}

output "dashboard_url" {
  description = "URL of the CloudWatch dashboard in the console."
  value       = "https://${local.region}.console.aws.amazon.com/cloudwatch/home?region=${local.region}#dashboards/dashboard/${aws_cloudwatch_dashboard.this.dashboard_name}"
}

output "alarm_topic_arn" {
  description = "ARN of the second topic, which is notified of the overall health. Null without one."
  value       = var.alarm_topic_arn
}

output "version" {
  description = "Version of tm-pipeline. The tag Version contains it, unless tags override it, and the functions log it."
  value       = local.version
}
