# What CloudWatch notices by itself and tells the topic by itself, so that it is heard even when alert is broken. Each has
# a section in docs/runbook.md, which its description names. They are few because each is billed (docs/cost.md): none
# for what heals by itself, and none for what another one tells.
locals {
  # Tables that promise a file by a time of day.
  promised_tables = [
    for table in local.tables : table
    if can(regex("(?m)^[^#]*\\bproperty[\"']?:\\s*[\"']?timeOfAvailability\\b", try(file("${local.contracts_dir}/${table}.odcs.yaml"), "")))
  ]

  # Only if watch looks every few minutes has each hour a measure, and one without says that watch does not run.
  watched_hourly = can(regex("^rate\\([1-5]?[0-9] minutes?\\)$", var.watch_schedule))

  event_rules = merge(
    { for key, rule in aws_cloudwatch_event_rule.alert : key => rule.name },
    { watch = aws_cloudwatch_event_rule.watch.name },
  )

  # Each is on while the sum (or statistic) of its period is greater than its threshold. Once is enough for most; the
  # hour, which slides, keeps what comes again and again one message, and a pager's incident open.
  alarms = merge(
    {
      for name, status in { failed = "Failed", timed-out = "TimedOut", aborted = "Aborted" } :
      "executions-${name}" => {
        section     = "executions-${name}"
        description = "A run of ${local.state_machine_name} ended as ${name}."
        namespace   = "AWS/States"
        metric      = "Executions${status}"
        dimensions  = { StateMachineArn = local.state_machine_arn }
      }
    },
    {
      # An error in a state either passed at the next try or ended the run; the api's reach its callers, and migrate's
      # fail the apply. Only these three fail unheard.
      for name in ["trigger", "alert", "watch"] :
      "function-errors-${name}" => {
        section     = "function-errors"
        description = "The function ${name} has failed three times within half an hour."
        namespace   = "AWS/Lambda"
        metric      = "Errors"
        dimensions  = { FunctionName = "${var.name}-${name}" }
        # Lambda repeats a failed event twice. Where watch runs into its time-out, the three take 18 minutes.
        threshold = 2
        period    = 1800
      }
    },
    {
      failed-deliveries-topic = {
        section     = "failed-deliveries"
        description = "The topic could not deliver a message to a subscriber."
        namespace   = "AWS/SNS"
        metric      = "NumberOfNotificationsFailed"
        dimensions  = { TopicName = aws_sns_topic.alerts.name }
      }
    },
    {
      # A rule that cannot call its function stays so. An event that the function then drops is found again by watch.
      for key, rule in local.event_rules :
      "failed-deliveries-${key}" => {
        section     = "failed-deliveries"
        description = "The rule ${rule} could not call its function."
        namespace   = "AWS/Events"
        metric      = "FailedInvocations"
        dimensions  = { RuleName = rule }
      }
    },
    {
      api-5xx = {
        section     = "api-5xx"
        description = "The look-up API answers with errors of its own, and has done so for ten minutes."
        namespace   = "AWS/ApiGateway"
        metric      = "5XXError"
        dimensions  = { ApiName = aws_api_gateway_rest_api.lookup.name, Stage = aws_api_gateway_stage.prod.stage_name }
        # A database that wakes up gives a 503 or two, and that is all right.
        threshold = 4
        period    = 300
        periods   = 2
      }
      # What is broken for the few who call it never makes five errors in five minutes.
      api-defects = {
        section     = "api-defects"
        description = "The look-up API met an error that is neither its caller's nor a database's that wakes up."
        namespace   = var.name
        metric      = "Defects"
        dimensions  = { service = "api" }
      }
      reject-rate = {
        section     = "reject-rate"
        description = "Of a file that was loaded more than ${var.reject_rate_percent} % of the rows were rejected."
        namespace   = var.name
        metric      = "RejectedPercent"
        dimensions  = { service = "load" }
        statistic   = "Maximum"
        threshold   = var.reject_rate_percent
      }
    },
    {
      for table in local.promised_tables :
      "freshness-${table}" => {
        section     = "freshness"
        description = "${table} is more than an hour behind its contract's promise; with insufficient data: watch does not run."
        namespace   = var.name
        metric      = "HoursLate"
        dimensions  = { service = "watch", table = table }
        statistic   = "Maximum"
        threshold   = 1
        missing     = local.watched_hourly ? "missing" : "ignore"
      }
    },
  )
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each = local.alarms

  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = "${each.value.description} See docs/runbook.md, Alarm: ${each.value.section}."
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dimensions
  statistic           = try(each.value.statistic, "Sum")
  period              = try(each.value.period, 3600)
  evaluation_periods  = try(each.value.periods, 1)
  comparison_operator = "GreaterThanThreshold"
  threshold           = try(each.value.threshold, 0)
  # Where nothing is counted, nothing happened; freshness alone is measured at all times.
  treat_missing_data        = try(each.value.missing, "notBreaching")
  alarm_actions             = [aws_sns_topic.alerts.arn]
  insufficient_data_actions = try(each.value.missing, "") == "missing" ? [aws_sns_topic.alerts.arn] : []
  tags                      = local.tags
}

# One light for all: on with the first alarm, off with the last. The topic heard of each already, so this one speaks to
# the second topic alone: a pager opens one incident, and closes it. Without one it is a light to look at, in the
# dashboard's strip, in tm doctor and for a status page.
resource "aws_cloudwatch_composite_alarm" "health" {
  alarm_name        = "${var.name}-health"
  alarm_description = "At least one alarm of ${var.name} is on. See docs/runbook.md, Alarm: health."
  alarm_rule        = join(" OR ", [for alarm in values(aws_cloudwatch_metric_alarm.this) : "ALARM(\"${alarm.alarm_name}\")"])
  alarm_actions     = var.alarm_topic_arn[*]
  ok_actions        = var.alarm_topic_arn[*]
  tags              = local.tags
}
