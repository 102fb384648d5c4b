# Alarms publish to the topic directly, so they work even if the function alert is broken. The description of each alarm
# names its section in docs/runbook.md. Alarms are billed (docs/cost.md): there is none for problems that resolve
# themselves, and none for problems that another alarm reports.
locals {
  # Tables whose contract sets timeOfAvailability.
  promised_tables = [
    for table in local.tables : table
    if can(regex("(?m)^[^#]*\\bproperty[\"']?:\\s*[\"']?timeOfAvailability\\b", try(file("${local.contracts_dir}/${table}.odcs.yaml"), "")))
  ]

  # If watch runs at least once per hour, an hour without a data point means that watch does not run.
  watched_hourly = can(regex("^rate\\([1-5]?[0-9] minutes?\\)$", var.watch_schedule))

  event_rules = merge(
    { for key, rule in aws_cloudwatch_event_rule.alert : key => rule.name },
    { watch = aws_cloudwatch_event_rule.watch.name },
    { for rule in aws_cloudwatch_event_rule.landing : "landing" => rule.name },
  )

  # An alarm is on while the sum (or other statistic) of its period exceeds its threshold (0 by default). The default
  # period, a sliding hour, combines repeated errors into one message and keeps a pager's incident open.
  alarms = merge(
    {
      for name, status in { failed = "Failed", timed-out = "TimedOut", aborted = "Aborted" } :
      "executions-${name}" => {
        section     = "executions-${name}"
        description = "An execution of ${local.state_machine_name} ended with status ${replace(upper(name), "-", "_")}."
        namespace   = "AWS/States"
        metric      = "Executions${status}"
        dimensions  = { StateMachineArn = local.state_machine_arn }
      }
    },
    {
      # Errors of the other functions are reported elsewhere: a state is retried or ends the run, the api answers its
      # caller, and migrate fails the apply.
      for name in ["trigger", "alert", "watch"] :
      "function-errors-${name}" => {
        section     = "function-errors"
        description = "The function ${name} failed at least three times within 30 minutes."
        namespace   = "AWS/Lambda"
        metric      = "Errors"
        dimensions  = { FunctionName = "${var.name}-${name}" }
        # Lambda retries a failed event twice. If watch times out each time, the three attempts take 18 minutes.
        threshold = 2
        period    = 1800
      }
    },
    {
      failed-deliveries-topic = {
        section     = "failed-deliveries"
        description = "SNS could not deliver a message from the alerts topic to a subscriber."
        namespace   = "AWS/SNS"
        metric      = "NumberOfNotificationsFailed"
        dimensions  = { TopicName = aws_sns_topic.alerts.name }
      }
    },
    {
      # A rule that cannot invoke its function does not recover. watch finds events that a function dropped.
      for key, rule in local.event_rules :
      "failed-deliveries-${key}" => {
        section     = "failed-deliveries"
        description = "The EventBridge rule ${rule} could not invoke its function."
        namespace   = "AWS/Events"
        metric      = "FailedInvocations"
        dimensions  = { RuleName = rule }
      }
    },
    {
      api-5xx = {
        section     = "api-5xx"
        description = "The lookup API answered five or more requests with 5xx errors in each of two consecutive periods of five minutes."
        namespace   = "AWS/ApiGateway"
        metric      = "5XXError"
        dimensions  = { ApiName = aws_api_gateway_rest_api.lookup.name, Stage = aws_api_gateway_stage.prod.stage_name }
        # A paused database causes one or two 503 answers while it resumes, which is expected.
        threshold = 4
        period    = 300
        periods   = 2
      }
      # With few callers, a defect does not cause five errors in five minutes.
      api-defects = {
        section     = "api-defects"
        description = "The lookup API answered a request with 500 because of an unexpected error."
        namespace   = var.name
        metric      = "Defects"
        dimensions  = { service = "api" }
      }
      reject-rate = {
        section     = "reject-rate"
        description = "More than ${var.reject_rate_percent} % of the rows of a loaded file were rejected."
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
        description = "The newest due file of table ${table} is not loaded, more than an hour after its contract's timeOfAvailability. Insufficient data means that watch does not run."
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
  # Counters publish no data points while nothing happens. Only HoursLate is published continuously.
  treat_missing_data        = try(each.value.missing, "notBreaching")
  alarm_actions             = [aws_sns_topic.alerts.arn]
  insufficient_data_actions = try(each.value.missing, "") == "missing" ? [aws_sns_topic.alerts.arn] : []
  tags                      = local.tags
}

# On with the first alarm, off with the last. It publishes only to the second topic, where a pager opens and closes one
# incident; the alerts topic receives each single alarm. Without a second topic it is still visible on the dashboard
# and in tm doctor.
resource "aws_cloudwatch_composite_alarm" "health" {
  alarm_name        = "${var.name}-health"
  alarm_description = "At least one alarm of the stack ${var.name} is on. See docs/runbook.md, Alarm: health."
  alarm_rule        = join(" OR ", [for alarm in values(aws_cloudwatch_metric_alarm.this) : "ALARM(\"${alarm.alarm_name}\")"])
  alarm_actions     = var.alarm_topic_arn[*]
  ok_actions        = var.alarm_topic_arn[*]
  tags              = local.tags
}
