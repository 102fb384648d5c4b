resource "aws_cloudwatch_log_group" "function" {
  for_each = local.functions

  name              = "/aws/lambda/${var.name}-${each.key}"
  retention_in_days = var.log_retention_days
  tags              = local.tags
}

resource "aws_lambda_function" "this" {
  for_each = local.functions

  function_name    = "${var.name}-${each.key}"
  role             = aws_iam_role.function[each.key].arn
  runtime          = "python3.13"
  handler          = "functions.${each.key}.handler.handler"
  s3_bucket        = var.function_zip.bucket
  s3_key           = var.function_zip.key
  source_code_hash = var.function_zip.hash
  memory_size      = each.value.memory
  timeout          = each.value.timeout
  tags             = local.tags

  environment {
    variables = merge(each.value.environment, {
      POWERTOOLS_SERVICE_NAME      = each.key
      POWERTOOLS_METRICS_NAMESPACE = var.name
      POWERTOOLS_LOG_LEVEL         = var.log_level
    })
  }

  # A function called before these exist makes a log group of its own, without retention, or has no rights.
  depends_on = [aws_cloudwatch_log_group.function, aws_iam_role_policy.function]
}
