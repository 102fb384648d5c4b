resource "aws_cloudwatch_log_group" "function" {
  for_each = local.functions

  name              = "/aws/lambda/${var.name}-${each.key}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
  tags              = local.tags
}

resource "aws_lambda_function" "this" {
  # checkov:skip=CKV_AWS_50:the log table records each state of a file with its times; traces are billed
  # checkov:skip=CKV_AWS_115:reserved concurrency reduces the account's, and a new account has none to spare
  # checkov:skip=CKV_AWS_116:watch restarts lost files and recovers lost run-end events, which a dead-letter queue cannot do
  # checkov:skip=CKV_AWS_272:code signing supports zip archives only; these are images, deployed by digest
  for_each = local.functions

  function_name    = "${var.name}-${each.key}"
  role             = aws_iam_role.function[each.key].arn
  architectures    = [var.architecture]
  package_type     = var.function_zip == null ? "Image" : "Zip"
  image_uri        = try(local.image_uris[each.key], null)
  runtime          = var.function_zip == null ? null : "python3.13"
  handler          = var.function_zip == null ? null : "functions.${each.key}.handler.handler"
  s3_bucket        = try(var.function_zip.bucket, null)
  s3_key           = try(var.function_zip.key, null)
  source_code_hash = try(var.function_zip.hash, null)
  memory_size      = each.value.memory
  timeout          = each.value.timeout
  kms_key_arn      = var.kms_key_arn
  tags             = local.tags

  ephemeral_storage {
    size = try(each.value.disk, 512)
  }

  environment {
    variables = merge(each.value.environment, {
      POWERTOOLS_SERVICE_NAME      = each.key
      POWERTOOLS_METRICS_NAMESPACE = var.name
      POWERTOOLS_LOG_LEVEL         = var.log_level
      MALLOC_ARENA_MAX             = "1" # otherwise each thread has a heap that grows: transform would need 10 % more
    })
  }

  dynamic "vpc_config" {
    for_each = contains(local.networked, each.key) ? [local.vpc] : []

    content {
      subnet_ids         = vpc_config.value.subnet_ids
      security_group_ids = vpc_config.value.security_group_ids
    }
  }

  # Without these, a function creates its own log group without retention, or fails because it has no permissions, no
  # network routes or no contracts. Lambda cannot create a function whose image it may not pull.
  depends_on = [
    aws_cloudwatch_log_group.function,
    aws_ecr_repository_policy.function,
    aws_iam_role_policy.function,
    aws_route_table_association.private,
    aws_s3_object.config,
    aws_vpc_security_group_egress_rule.database,
    aws_vpc_security_group_egress_rule.gateway,
    aws_vpc_security_group_ingress_rule.database,
  ]
}

# A function that is not invoked for weeks becomes inactive: Lambda drops the image, and after 14 days the network
# interface. It then rejects the next invocation and takes a minute or two to become active. Step Functions retries, but
# API Gateway and an apply do not, and AWS does not document what happens to events from S3 and EventBridge. So a rule
# invokes each function once a day with an event that it answers immediately (shared/telemetry.py).
# https://docs.aws.amazon.com/lambda/latest/dg/images-create.html#images-lifecycle
# https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html
# A rule has at most five targets, so there is one rule per function. There are no alarms for these rules, because a
# failed invocation has no effect of its own; tm doctor checks the rules.
resource "aws_cloudwatch_event_rule" "keep_active" {
  for_each = local.functions

  name                = "${var.name}-keep-active-${each.key}"
  description         = "Invokes ${var.name}-${each.key} once a day so that Lambda keeps it active."
  schedule_expression = "rate(1 day)"
  tags                = local.tags

  depends_on = [terraform_data.prerequisites]
}

resource "aws_cloudwatch_event_target" "keep_active" {
  for_each = aws_cloudwatch_event_rule.keep_active

  rule      = each.value.name
  target_id = each.key
  arn       = aws_lambda_function.this[each.key].arn
  input     = jsonencode({ keepActive = true })

  depends_on = [aws_lambda_permission.keep_active]
}

resource "aws_lambda_permission" "keep_active" {
  for_each = aws_cloudwatch_event_rule.keep_active

  statement_id  = "keep-active"
  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_function.this[each.key].function_name
  principal     = "events.amazonaws.com"
  source_arn    = each.value.arn
}
