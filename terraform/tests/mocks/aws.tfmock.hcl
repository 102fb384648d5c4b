# Identifiers with the syntax of AWS, where the module uses them.

mock_data "aws_caller_identity" {
  defaults = { account_id = "123456789012" }
}
mock_data "aws_partition" {
  defaults = { partition = "aws" }
}
mock_data "aws_region" {
  # Provider 5 uses name, provider 6 uses region.
  defaults = { name = "eu-central-1", region = "eu-central-1" }
}
mock_resource "aws_api_gateway_api_key" {
  defaults = { value = "a key made by AWS" }
}
mock_resource "aws_api_gateway_stage" {
  defaults = {
    arn           = "arn:aws:apigateway:eu-central-1::/restapis/api/stages/Prod"
    execution_arn = "arn:aws:execute-api:eu-central-1:123456789012:api/Prod"
  }
}
mock_resource "aws_cloudwatch_event_rule" {
  defaults = { arn = "arn:aws:events:eu-central-1:123456789012:rule/mock" }
}
mock_resource "aws_cloudwatch_log_group" {
  defaults = { arn = "arn:aws:logs:eu-central-1:123456789012:log-group:mock" }
}
mock_resource "aws_dynamodb_table" {
  defaults = { arn = "arn:aws:dynamodb:eu-central-1:123456789012:table/mock" }
}
mock_resource "aws_iam_role" {
  defaults = { arn = "arn:aws:iam::123456789012:role/mock" }
}
mock_resource "aws_lambda_function" {
  defaults = {
    arn        = "arn:aws:lambda:eu-central-1:123456789012:function:mock"
    invoke_arn = "arn:aws:apigateway:eu-central-1:lambda:path/2015-03-31/functions/mock/invocations"
  }
}
mock_resource "aws_sns_topic" {
  defaults = { arn = "arn:aws:sns:eu-central-1:123456789012:mock" }
}
mock_resource "aws_ecr_repository" {
  defaults = { repository_url = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/mock" }
}
mock_data "aws_ecr_image" {
  defaults = { image_digest = "sha256:0" }
}
mock_data "aws_availability_zones" {
  defaults = { names = ["eu-central-1c", "eu-central-1a", "eu-central-1d", "eu-central-1b"] }
}
mock_resource "aws_rds_cluster" {
  defaults = {
    arn                 = "arn:aws:rds:eu-central-1:123456789012:cluster:mock"
    cluster_resource_id = "cluster-MOCK"
    endpoint            = "mock.cluster-0.eu-central-1.rds.amazonaws.com"
    master_user_secret  = [{ secret_arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:rds!cluster-mock" }]
  }
}

# Distinct values, where a test compares them.

override_resource {
  target = aws_s3_bucket.this["config"]
  values = { arn = "arn:aws:s3:::config" }
}
override_resource {
  target = aws_s3_bucket.this["landing"]
  values = { arn = "arn:aws:s3:::landing" }
}
override_resource {
  target = aws_s3_bucket.this["staging"]
  values = { arn = "arn:aws:s3:::staging" }
}
override_resource {
  target = aws_lambda_function.this["transform"]
  values = { arn = "arn:aws:lambda:eu-central-1:123456789012:function:transform" }
}
override_resource {
  target = aws_lambda_function.this["test"]
  values = { arn = "arn:aws:lambda:eu-central-1:123456789012:function:test" }
}
override_resource {
  target = aws_lambda_function.this["load"]
  values = { arn = "arn:aws:lambda:eu-central-1:123456789012:function:load" }
}
override_resource {
  target = aws_iam_role.function["alert"]
  values = { arn = "arn:aws:iam::123456789012:role/alert" }
}
override_resource {
  target = aws_iam_role.function["api"]
  values = { arn = "arn:aws:iam::123456789012:role/api" }
}
override_resource {
  target = aws_iam_role.function["load"]
  values = { arn = "arn:aws:iam::123456789012:role/load" }
}
override_resource {
  target = aws_cloudwatch_log_group.function["api"]
  values = { arn = "arn:aws:logs:eu-central-1:123456789012:log-group:api" }
}
override_resource {
  target = aws_security_group.function
  values = { id = "sg-function" }
}
override_resource {
  target = aws_security_group.database
  values = { id = "sg-database" }
}
override_resource {
  target = aws_vpc_endpoint.gateway["dynamodb"]
  values = { prefix_list_id = "pl-dynamodb" }
}
override_resource {
  target = aws_vpc_endpoint.gateway["s3"]
  values = { prefix_list_id = "pl-s3" }
}
