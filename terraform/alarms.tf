# What CloudWatch notices by itself and tells the topic by itself, so that it is heard even when alert is broken. Each has
# a section in docs/runbook.md, under its name without var.name, table and function.
locals {
  runbook = "See docs/runbook.md, Alarm:"

  # Tables that promise a file by a time of day.
  promised_tables = [
    for contract in values(local.contracts) : contract.schema[0].name
    if anytrue([for each in try(contract.slaProperties, []) : each.property == "timeOfAvailability"])
  ]

  # Only if watch looks every few minutes has each hour a measure, and one without says that watch does not run.
  watched_hourly = can(regex("^rate\\([1-5]?[0-9] minutes?\\)$", var.watch_schedule))

  # Each is on when the sum (or statistic) of its period is greater than its threshold.
  metric_alarms = merge(
    {
      for name, status in { failed = "Failed", timed-out = "TimedOut", aborted = "Aborted" } :
      "executions-${name}" => {
        description = "A run of ${local.state_machine_name} ended as ${name}. ${local.runbook} executions-${name}."
        namespace   = "AWS/States"
        metric      = "Executions${status}"
        dimensions  = { StateMachineArn = local.state_machine_arn }
      }
    },
    {
      for name in keys(local.functions) :
      "function-errors-${name}" => {
        description = "The function ${name} raised errors. ${local.runbook} function-errors."
        namespace   = "AWS/Lambda"
        metric      = "Errors"
        dimensions  = { FunctionName = "${var.name}-${name}" }
      }
    },
    {
      api-5xx = {
        description = "The look-up API answers with errors of its own, and has done so for ten minutes. ${local.runbook} api-5xx."
        namespace   = "AWS/ApiGateway"
        metric      = "5XXError"
        dimensions  = { ApiName = aws_api_gateway_rest_api.lookup.name, Stage = aws_api_gateway_stage.prod.stage_name }
        # A database that wakes up gives a 503 or two, and that is all right.
        threshold = 4
        periods   = 2
      }
    },
    {
      for table in local.promised_tables :
      "freshness-${table}" => {
        description = "${table} is more than an hour behind its contract's promise; with insufficient data: watch does not run. ${local.runbook} freshness."
        namespace   = var.name
        metric      = "HoursLate"
        dimensions  = { service = "watch", table = table }
        statistic   = "Maximum"
        threshold   = 1
        period      = 3600
        missing     = local.watched_hourly ? "missing" : "ignore"
      }
    },
  )

  # The same of what is reckoned from several metrics.
  derived_alarms = merge(
    {
      failed-deliveries = {
        description = "An event did not reach its function, or a message its subscriber. ${local.runbook} failed-deliveries."
        # FILL: without it a metric that has no value just then leaves the sum without one.
        expression = "SUM(FILL(METRICS(), 0))"
        threshold  = 0
        period     = 300
        metrics = merge(
          {
            topic = { namespace = "AWS/SNS", metric = "NumberOfNotificationsFailed", dimensions = { TopicName = aws_sns_topic.alerts.name } }
          },
          {
            for name, rule in local.rule_names :
            "rule_${name}" => { namespace = "AWS/Events", metric = "FailedInvocations", dimensions = { RuleName = rule } }
          },
          {
            for name in local.called_by_events :
            "event_${name}" => { namespace = "AWS/Lambda", metric = "AsyncEventsDropped", dimensions = { FunctionName = "${var.name}-${name}" } }
          },
        )
      }
    },
    {
      for table in local.tables :
      "reject-rate-${table}" => {
        description = "More than ${var.reject_rate_percent} % of the rows of ${table} were rejected within an hour. ${local.runbook} reject-rate."
        expression  = "IF(read > 0, 100 * rejected / read, 0)"
        threshold   = var.reject_rate_percent
        period      = 3600
        metrics = {
          for id, metric in { read = "RowsRead", rejected = "RowsRejected" } :
          id => { namespace = var.name, metric = metric, dimensions = { service = "load", table = table } }
        }
      }
    },
  )

  # Whose events come once, through a rule or from S3, and may be lost on the way.
  rule_names = {
    ended  = aws_cloudwatch_event_rule.alert["execution-ended"].name
    notice = aws_cloudwatch_event_rule.alert["notice"].name
    watch  = aws_cloudwatch_event_rule.watch.name
  }
  called_by_events = ["alert", "trigger", "watch"]
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each = local.metric_alarms

  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = each.value.description
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dimensions
  statistic           = try(each.value.statistic, "Sum")
  period              = try(each.value.period, 300)
  evaluation_periods  = try(each.value.periods, 1)
  comparison_operator = "GreaterThanThreshold"
  threshold           = try(each.value.threshold, 0)
  # Where nothing is counted, nothing happened; freshness alone is measured at all times.
  treat_missing_data        = try(each.value.missing, "notBreaching")
  alarm_actions             = [aws_sns_topic.alerts.arn]
  insufficient_data_actions = try(each.value.missing, "") == "missing" ? [aws_sns_topic.alerts.arn] : []
  tags                      = local.tags
}

resource "aws_cloudwatch_metric_alarm" "derived" {
  for_each = local.derived_alarms

  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = each.value.description
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = each.value.threshold
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alerts.arn]
  tags                = local.tags

  metric_query {
    id          = "result"
    expression  = each.value.expression
    label       = each.key
    return_data = true
  }

  dynamic "metric_query" {
    for_each = each.value.metrics

    content {
      id = metric_query.key

      metric {
        namespace   = metric_query.value.namespace
        metric_name = metric_query.value.metric
        dimensions  = metric_query.value.dimensions
        stat        = "Sum"
        period      = each.value.period
      }
    }
  }
}

# One light for all: on with the first alarm, off with the last. The topic heard of each already, so this one speaks to
# the second topic alone: a pager opens one incident, and closes it.
resource "aws_cloudwatch_composite_alarm" "health" {
  alarm_name        = "${var.name}-health"
  alarm_description = "At least one alarm of ${var.name} is on. ${local.runbook} health."
  alarm_rule        = join(" OR ", [for name in local.alarm_names : "ALARM(\"${name}\")"])
  alarm_actions     = var.alarm_topic_arn[*]
  ok_actions        = var.alarm_topic_arn[*]
  tags              = local.tags
}

locals {
  alarms      = merge(aws_cloudwatch_metric_alarm.this, aws_cloudwatch_metric_alarm.derived)
  alarm_names = [for name in sort(keys(local.alarms)) : local.alarms[name].alarm_name]
  alarm_arns  = concat([aws_cloudwatch_composite_alarm.health.arn], [for name in sort(keys(local.alarms)) : local.alarms[name].arn])
}
