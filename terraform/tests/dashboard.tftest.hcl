# Dashboard, alarms and subscriptions with a mocked AWS provider.

mock_provider "aws" {
  source = "./tests/mocks"
}

run "with_a_created_database" {
  variables {
    database = null
  }

  assert {
    # CloudWatch's free tier includes three dashboards with up to 50 metrics. Another table adds three metrics, or four
    # if its contract sets timeOfAvailability; there is room for three.
    condition = length(flatten([
      for widget in jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets : [
        for metric in try(widget.properties.metrics, []) : jsonencode(metric)
      ]
    ])) <= 50 - 3
    error_message = "The dashboard must have at most 47 metrics: with one more table it would be billed."
  }

  assert {
    condition = alltrue([
      for widget in jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets :
      widget.x + widget.width <= 24 && (widget.type != "metric" || try(length(widget.properties.metrics) > 0, false))
    ])
    error_message = "Every graph must have metrics and fit on the dashboard."
  }

  assert {
    condition = contains(
      [for widget in jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets : widget.properties.title],
      "Database: ACUs and connections"
    )
    error_message = "The created database must be on the dashboard."
  }

  assert {
    condition = toset(jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets[0].properties.alarms) == toset(concat(
      [aws_cloudwatch_composite_alarm.health.arn],
      [for alarm in aws_cloudwatch_metric_alarm.this : alarm.arn],
    ))
    error_message = "Every alarm must be in the dashboard's alarm widget."
  }

  assert {
    condition = alltrue([
      for alarm in aws_cloudwatch_metric_alarm.this :
      alarm.alarm_actions == toset([aws_sns_topic.alerts.arn]) && strcontains(alarm.alarm_description, " See docs/runbook.md, Alarm: ")
      && strcontains(aws_cloudwatch_composite_alarm.health.alarm_rule, "ALARM(\"${alarm.alarm_name}\")")
    ])
    error_message = "Every alarm must notify the topic, name its section of the runbook, and be part of the health alarm."
  }

  assert {
    # Ten alarms are free; see docs/cost.md. Another table adds an alarm only if its contract sets timeOfAvailability.
    condition = sort(keys(aws_cloudwatch_metric_alarm.this)) == sort(concat(
      [for end in ["failed", "timed-out", "aborted"] : "executions-${end}"],
      [for function in ["trigger", "alert", "watch"] : "function-errors-${function}"],
      [for end in ["topic", "execution-ended", "notice", "watch"] : "failed-deliveries-${end}"],
      ["api-5xx", "api-defects", "reject-rate", "freshness-dailycheckins"],
    ))
    error_message = "The alarms must be exactly these."
  }

  assert {
    condition = alltrue([
      for name in ["trigger", "alert", "watch"] :
      aws_cloudwatch_metric_alarm.this["function-errors-${name}"].threshold == 2
      # Three invocations that time out, and Lambda's delays of one and two minutes between them.
      && aws_cloudwatch_metric_alarm.this["function-errors-${name}"].period >= 3 * local.functions[name].timeout + 180
    ])
    error_message = "The alarm must turn on if all three attempts fail, and not if a retry succeeds."
  }

  assert {
    condition     = alltrue([for name, alarm in aws_cloudwatch_metric_alarm.this : startswith(name, "freshness-") == (alarm.treat_missing_data == "missing")])
    error_message = "Only the freshness alarms must treat missing data as missing."
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.this["freshness-dailycheckins"].insufficient_data_actions == toset([aws_sns_topic.alerts.arn])
    error_message = "Insufficient data of a freshness alarm must notify the topic."
  }

  assert {
    condition     = length(coalesce(aws_cloudwatch_composite_alarm.health.alarm_actions, [])) == 0
    error_message = "The health alarm must not notify the alerts topic."
  }

  assert {
    condition = [for statement in jsondecode(aws_sns_topic_policy.alerts.policy).Statement : statement if statement.Effect == "Allow"] == [{
      Sid       = "Alarms"
      Effect    = "Allow"
      Principal = { Service = "cloudwatch.amazonaws.com" }
      Action    = "sns:Publish"
      Resource  = aws_sns_topic.alerts.arn
      Condition = {
        StringEquals = { "aws:SourceAccount" = "123456789012" }
        ArnLike      = { "aws:SourceArn" = "arn:aws:cloudwatch:eu-central-1:123456789012:alarm:tm-pipeline-*" }
      }
    }]
    error_message = "The topic's policy must allow only the alarms of this stack to publish."
  }

  assert {
    condition     = output.alarm_topic_arn == null && output.alert_subscriptions_pending == []
    error_message = "The outputs must name no second topic and no pending subscriptions by default."
  }
}

run "with_a_given_database_and_subscribers" {
  override_resource {
    target = aws_sns_topic_subscription.email["a@example.com"]
    values = { pending_confirmation = true }
  }

  variables {
    name                = "blue"
    watch_schedule      = "cron(0 6 * * ? *)"
    alert_emails        = ["a@example.com"]
    alert_endpoints     = ["https://example.com/alerts"]
    alert_queue_arns    = ["arn:aws:sqs:eu-central-1:123456789012:alerts"]
    alarm_topic_arn     = "arn:aws:sns:eu-central-1:123456789012:pager"
    reject_rate_percent = 0.5
  }

  assert {
    condition     = !strcontains(aws_cloudwatch_dashboard.this.dashboard_body, "AWS/RDS")
    error_message = "A given database must not be on the dashboard."
  }

  assert {
    condition = {
      for each in concat(values(aws_sns_topic_subscription.endpoint), values(aws_sns_topic_subscription.queue)) : each.protocol => each.endpoint
      } == {
      https = "https://example.com/alerts"
      sqs   = "arn:aws:sqs:eu-central-1:123456789012:alerts"
    }
    error_message = "Every element of var.alert_endpoints and var.alert_queue_arns must be subscribed."
  }

  assert {
    condition     = output.alert_subscriptions_pending == ["a@example.com"]
    error_message = "alert_subscriptions_pending must contain only unconfirmed subscriptions."
  }

  assert {
    condition = (
      aws_cloudwatch_composite_alarm.health.alarm_actions == toset(["arn:aws:sns:eu-central-1:123456789012:pager"])
      && aws_cloudwatch_composite_alarm.health.ok_actions == aws_cloudwatch_composite_alarm.health.alarm_actions
      && output.alarm_topic_arn == "arn:aws:sns:eu-central-1:123456789012:pager"
    )
    error_message = "The health alarm must notify var.alarm_topic_arn when it turns on and off."
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.this["reject-rate"].threshold == 0.5
    error_message = "var.reject_rate_percent does not reach the alarm."
  }

  assert {
    condition = (
      aws_cloudwatch_metric_alarm.this["freshness-dailycheckins"].treat_missing_data == "ignore"
      && length(coalesce(aws_cloudwatch_metric_alarm.this["freshness-dailycheckins"].insufficient_data_actions, [])) == 0
    )
    error_message = "With a daily var.watch_schedule, missing data must not affect the freshness alarm."
  }
}
