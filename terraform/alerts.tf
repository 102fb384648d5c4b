locals {
  # Source of the events that the functions send.
  notice_source = "tm-pipeline"

  # Events that invoke alert: the end of every run, and events from trigger and watch.
  alert_events = {
    execution-ended = {
      description = "Run-end events of ${local.state_machine_name}."
      pattern = {
        source      = ["aws.states"]
        detail-type = ["Step Functions Execution Status Change"]
        detail = {
          stateMachineArn = [local.state_machine_arn]
          status          = ["SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"]
        }
      }
    }
    notice = {
      description = "Events outside a run: a file that matches no contract, a missing file, a lost run-end event."
      pattern = {
        source      = [local.notice_source]
        detail-type = ["Ingestion Rejected", "File Missing", "Ingestion Ended"]
      }
    }
  }
}

resource "aws_sns_topic" "alerts" {
  name              = "${var.name}-alerts"
  kms_master_key_id = var.kms_key_arn
  tags              = local.tags

  depends_on = [terraform_data.prerequisites]
}

# Denies publishing to everyone but alert and AWS services, whatever the account's policies allow. alert's own role
# allows it to publish.
resource "aws_sns_topic_policy" "alerts" {
  arn = aws_sns_topic.alerts.arn

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "TlsOnly"
        Effect    = "Deny"
        Principal = "*"
        Action    = "sns:Publish"
        Resource  = aws_sns_topic.alerts.arn
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
      {
        Sid       = "AlertOnly"
        Effect    = "Deny"
        Principal = "*"
        Action    = "sns:Publish"
        Resource  = aws_sns_topic.alerts.arn
        Condition = {
          # aws:PrincipalArn is the role's ARN on AWS, but the session's ARN on the laptop cloud.
          ArnNotLike = {
            "aws:PrincipalArn" = [
              aws_iam_role.function["alert"].arn,
              "arn:${local.partition}:sts::${local.account}:assumed-role/${aws_iam_role.function["alert"].name}/*",
            ]
          }
          BoolIfExists = { "aws:PrincipalIsAWSService" = "false" }
        }
      },
      # CloudWatch has no role, so the topic policy allows it to publish for the alarms of this stack.
      {
        Sid       = "Alarms"
        Effect    = "Allow"
        Principal = { Service = "cloudwatch.amazonaws.com" }
        Action    = "sns:Publish"
        Resource  = aws_sns_topic.alerts.arn
        Condition = {
          StringEquals = { "aws:SourceAccount" = local.account }
          ArnLike      = { "aws:SourceArn" = "arn:${local.partition}:cloudwatch:${local.region}:${local.account}:alarm:${var.name}-*" }
        }
      },
    ]
  })
}

resource "aws_sns_topic_subscription" "email" {
  for_each = var.alert_emails

  topic_arn = aws_sns_topic.alerts.arn
  protocol  = "email"
  endpoint  = each.key
}

resource "aws_sns_topic_subscription" "endpoint" {
  for_each = var.alert_endpoints

  topic_arn = aws_sns_topic.alerts.arn
  protocol  = "https"
  endpoint  = each.key
}

resource "aws_sns_topic_subscription" "queue" {
  for_each = var.alert_queue_arns

  topic_arn = aws_sns_topic.alerts.arn
  protocol  = "sqs"
  endpoint  = each.key
}

resource "aws_cloudwatch_event_rule" "alert" {
  for_each = local.alert_events

  name          = "${var.name}-${each.key}"
  description   = each.value.description
  event_pattern = jsonencode(each.value.pattern)
  tags          = local.tags

  depends_on = [terraform_data.prerequisites]
}

resource "aws_cloudwatch_event_target" "alert" {
  for_each = aws_cloudwatch_event_rule.alert

  rule      = each.value.name
  target_id = "alert"
  arn       = aws_lambda_function.this["alert"].arn

  depends_on = [aws_lambda_permission.alert]
}

resource "aws_lambda_permission" "alert" {
  for_each = aws_cloudwatch_event_rule.alert

  statement_id  = each.key
  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_function.this["alert"].function_name
  principal     = "events.amazonaws.com"
  source_arn    = each.value.arn
}

# When a run ends, watch starts the next queued file (docs/decisions/0019-bursts.md).
resource "aws_cloudwatch_event_target" "next" {
  rule      = aws_cloudwatch_event_rule.alert["execution-ended"].name
  target_id = "watch"
  arn       = aws_lambda_function.this["watch"].arn

  depends_on = [aws_lambda_permission.next]
}

resource "aws_lambda_permission" "next" {
  statement_id  = "execution-ended"
  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_function.this["watch"].function_name
  principal     = "events.amazonaws.com"
  source_arn    = aws_cloudwatch_event_rule.alert["execution-ended"].arn
}

resource "aws_cloudwatch_event_rule" "watch" {
  name                = "${var.name}-watch"
  description         = "Invokes watch, which checks for missing files, lost events and stuck executions."
  schedule_expression = var.watch_schedule
  tags                = local.tags

  depends_on = [terraform_data.prerequisites]
}

resource "aws_cloudwatch_event_target" "watch" {
  rule      = aws_cloudwatch_event_rule.watch.name
  target_id = "watch"
  arn       = aws_lambda_function.this["watch"].arn

  depends_on = [aws_lambda_permission.watch]
}

resource "aws_lambda_permission" "watch" {
  statement_id  = "schedule"
  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_function.this["watch"].function_name
  principal     = "events.amazonaws.com"
  source_arn    = aws_cloudwatch_event_rule.watch.arn
}
