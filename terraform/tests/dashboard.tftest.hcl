# Dashboard and alarms, of a mocked AWS: what stands on them, what it costs, and who hears of it.

mock_provider "aws" {
  source = "./tests/mocks"
}

run "with_a_created_database" {
  variables {
    database = null
  }

  assert {
    # CloudWatch gives each account three dashboards that reference up to 50 metrics. A further table draws three, or four
    # if it promises a file; one of three fits.
    condition = length(flatten([
      for widget in jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets : [
        for metric in try(widget.properties.metrics, []) : jsonencode(metric)
      ]
    ])) <= 50 - 3
    error_message = "The dashboard draws more than 47 metrics: with one more table it would be billed."
  }

  assert {
    condition = alltrue([
      for widget in jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets :
      widget.x + widget.width <= 24 && (widget.type != "metric" || try(length(widget.properties.metrics) > 0, false))
    ])
    error_message = "A graph is empty, or stands outside the dashboard."
  }

  assert {
    condition = contains(
      [for widget in jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets : widget.properties.title],
      "Database: ACUs and connections"
    )
    error_message = "The created database is not on the dashboard."
  }

  assert {
    condition = toset(jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets[0].properties.alarms) == toset(concat(
      [aws_cloudwatch_composite_alarm.health.arn],
      [for alarm in aws_cloudwatch_metric_alarm.this : alarm.arn],
    ))
    error_message = "An alarm is not on the dashboard's strip."
  }

  assert {
    condition = alltrue([
      for alarm in aws_cloudwatch_metric_alarm.this :
      alarm.alarm_actions == toset([aws_sns_topic.alerts.arn]) && strcontains(alarm.alarm_description, " See docs/runbook.md, Alarm: ")
      && strcontains(aws_cloudwatch_composite_alarm.health.alarm_rule, "ALARM(\"${alarm.alarm_name}\")")
    ])
    error_message = "An alarm does not tell the topic, does not name its section of the runbook, or is not part of the health."
  }

  assert {
    # Ten alarms are free. docs/cost.md says what these cost; a further table adds one only if it promises a file.
    condition = sort(keys(aws_cloudwatch_metric_alarm.this)) == sort(concat(
      [for end in ["failed", "timed-out", "aborted"] : "executions-${end}"],
      [for function in ["trigger", "alert", "watch"] : "function-errors-${function}"],
      [for end in ["topic", "execution-ended", "notice", "watch"] : "failed-deliveries-${end}"],
      ["api-5xx", "api-defects", "reject-rate", "freshness-dailycheckins"],
    ))
    error_message = "There is another alarm, or one less."
  }

  assert {
    condition = alltrue([
      for name in ["trigger", "alert", "watch"] :
      aws_cloudwatch_metric_alarm.this["function-errors-${name}"].threshold == 2
      # The three calls of a function that runs into its time-out each time, and Lambda's pauses of one and two minutes.
      && aws_cloudwatch_metric_alarm.this["function-errors-${name}"].period >= 3 * local.functions[name].timeout + 180
    ])
    error_message = "An event that Lambda repeats with success sets off an alarm, or one that fails for good does not."
  }

  assert {
    condition     = alltrue([for name, alarm in aws_cloudwatch_metric_alarm.this : startswith(name, "freshness-") == (alarm.treat_missing_data == "missing")])
    error_message = "Only freshness is measured at all times: elsewhere nothing counted is nothing wrong."
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.this["freshness-dailycheckins"].insufficient_data_actions == toset([aws_sns_topic.alerts.arn])
    error_message = "Nobody is told that watch does not run."
  }

  assert {
    condition     = length(coalesce(aws_cloudwatch_composite_alarm.health.alarm_actions, [])) == 0
    error_message = "The topic would hear twice of each alarm."
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
    error_message = "The topic lets somebody else publish than this stack's alarms."
  }

  assert {
    condition     = output.alarm_topic_arn == null && output.alert_subscriptions_pending == []
    error_message = "Outputs name a topic or subscribers that nobody asked for."
  }
}

run "with_a_given_database_and_more_to_tell" {
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
    error_message = "The dashboard draws a database that is not the module's."
  }

  assert {
    condition = {
      for each in concat(values(aws_sns_topic_subscription.endpoint), values(aws_sns_topic_subscription.queue)) : each.protocol => each.endpoint
      } == {
      https = "https://example.com/alerts"
      sqs   = "arn:aws:sqs:eu-central-1:123456789012:alerts"
    }
    error_message = "A subscriber of var.alert_endpoints or var.alert_queue_arns was not subscribed."
  }

  assert {
    condition     = output.alert_subscriptions_pending == ["a@example.com"]
    error_message = "The output does not name exactly those that have not confirmed."
  }

  assert {
    condition = (
      aws_cloudwatch_composite_alarm.health.alarm_actions == toset(["arn:aws:sns:eu-central-1:123456789012:pager"])
      && aws_cloudwatch_composite_alarm.health.ok_actions == aws_cloudwatch_composite_alarm.health.alarm_actions
      && output.alarm_topic_arn == "arn:aws:sns:eu-central-1:123456789012:pager"
    )
    error_message = "var.alarm_topic_arn is not told when it begins and when it is over."
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
    error_message = "A watch that looks once a day by var.watch_schedule would be called silent every hour."
  }
}
