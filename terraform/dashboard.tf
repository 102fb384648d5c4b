locals {
  # Title and metrics of each graph, in the syntax of CloudWatch dashboards; three graphs per row. CloudWatch bills a
  # dashboard with more than 50 metrics, and does not document whether a metric in two graphs counts twice
  # (docs/cost.md). So there are less than 50 lines, with room for one more table. migrate has none, because apply
  # reports its errors.
  graphs = concat(
    [
      {
        title = "Runs by status"
        metrics = [
          for outcome in ["Succeeded", "Failed", "TimedOut", "Aborted"] :
          ["AWS/States", "Executions${outcome}", "StateMachineArn", local.state_machine_arn, { label = outcome, stat = "Sum" }]
        ]
      },
      {
        title = "Waiting files"
        metrics = [
          for metric, label in { FilesQueued = "for a run", FilesWaitingForManifest = "for a manifest" } :
          [var.name, metric, "service", "watch", { label = label, stat = "Maximum" }]
        ]
      },
      {
        title = "Duration of each state (ms)"
        metrics = [
          for each in setproduct(local.tasks, ["p50", "Maximum"]) :
          ["AWS/Lambda", "Duration", "FunctionName", "${var.name}-${each[0]}", { label = join(" ", each), stat = each[1] }]
        ]
      },
      {
        title = "Failed deliveries of events and messages"
        metrics = concat(
          [["AWS/SNS", "NumberOfNotificationsFailed", "TopicName", aws_sns_topic.alerts.name, { label = "topic", stat = "Sum" }]],
          [for key, rule in local.event_rules : ["AWS/Events", "FailedInvocations", "RuleName", rule, { label = "rule ${key}", stat = "Sum" }]],
        )
      },
    ],
    [
      for table in local.tables : {
        title = "Rows of ${table}"
        metrics = [
          for count in ["RowsRead", "RowsLoaded", "RowsRejected"] :
          [var.name, count, "service", "load", "table", table, { label = count, stat = "Sum" }]
        ]
      }
    ],
    [
      {
        title   = "Rejected rows of the worst file (%)"
        metrics = [[var.name, "RejectedPercent", "service", "load", { label = "rejected", stat = "Maximum" }]]
      },
    ],
    [
      for tables in [local.promised_tables] : {
        title   = "Freshness: hours after timeOfAvailability"
        metrics = [for table in tables : [var.name, "HoursLate", "service", "watch", "table", table, { label = table, stat = "Maximum" }]]
      } if length(tables) > 0
    ],
    [
      for title, each in {
        "Errors of the functions"                = { metric = "Errors", stat = "Sum", except = [] }
        "Throttled invocations of the functions" = { metric = "Throttles", stat = "Sum", except = [] }
        # The states have their own graph, and the API's latency is in another. alert is left out because 50 metrics are free.
        "Maximum duration of trigger and watch (ms)" = { metric = "Duration", stat = "Maximum", except = concat(local.tasks, ["alert", "api"]) }
        } : {
        title = title
        metrics = [
          for name in setsubtract(local.function_names, concat(["migrate"], each.except)) :
          ["AWS/Lambda", each.metric, "FunctionName", "${var.name}-${name}", { label = name, stat = each.stat }]
        ]
      }
    ],
    [
      {
        title = "Requests to the lookup API"
        metrics = concat(
          [for metric in ["Count", "4XXError", "5XXError"] : ["AWS/ApiGateway", metric, "ApiName", aws_api_gateway_rest_api.lookup.name, "Stage", aws_api_gateway_stage.prod.stage_name, { label = metric, stat = "Sum" }]],
          [[var.name, "Defects", "service", "api", { label = "Defects", stat = "Sum" }]],
        )
      },
      {
        title   = "Latency of the lookup API (ms)"
        metrics = [["AWS/ApiGateway", "Latency", "ApiName", aws_api_gateway_rest_api.lookup.name, "Stage", aws_api_gateway_stage.prod.stage_name, { label = "p95", stat = "p95" }]]
      },
    ],
    [
      for cluster in aws_rds_cluster.this : {
        title = "Database: ACUs and connections"
        metrics = [
          for metric in ["ServerlessDatabaseCapacity", "DatabaseConnections"] :
          ["AWS/RDS", metric, "DBClusterIdentifier", cluster.cluster_identifier, { label = metric, stat = "Maximum" }]
        ]
      }
    ],
  )

  # CloudWatch runs (and bills) these queries only when someone opens the dashboard.
  log_queries = [
    {
      title = "Latest failures"
      view  = "table"
      query = join(" | ", [
        "fields @timestamp, service, ingestedTable, ingestedID, message, reason",
        "filter level in ['WARNING', 'ERROR', 'CRITICAL'] or @message like /Task timed out|Runtime.(ExitError|OutOfMemory)/",
        "sort @timestamp desc",
        "limit 20",
      ])
    },
    {
      title = "Maximum memory use of the functions (%)"
      view  = "bar"
      query = "filter @type = 'REPORT' | stats max(100 * @maxMemoryUsed / @memorySize) as percent by @log"
    },
  ]
  log_sources = join(" | ", [for name in local.function_names : "SOURCE '${aws_cloudwatch_log_group.function[name].name}'"])

  log_widgets_top = 3 + 6 * ceil(length(local.graphs) / 3)
}

resource "aws_cloudwatch_dashboard" "this" {
  dashboard_name = var.name

  dashboard_body = jsonencode({
    widgets = concat(
      [{
        type       = "alarm"
        x          = 0
        y          = 0
        width      = 24
        height     = 3
        properties = { title = "Alarms", alarms = concat([aws_cloudwatch_composite_alarm.health.arn], [for alarm in aws_cloudwatch_metric_alarm.this : alarm.arn]) }
      }],
      [
        for index, graph in local.graphs : {
          type   = "metric"
          x      = 8 * (index % 3)
          y      = 3 + 6 * floor(index / 3)
          width  = 8
          height = 6
          properties = {
            title   = graph.title
            metrics = graph.metrics
            region  = local.region
            period  = 300
            view    = "timeSeries"
          }
        }
      ],
      [
        for index, each in local.log_queries : {
          type   = "log"
          x      = 12 * index
          y      = local.log_widgets_top
          width  = 12
          height = 9
          properties = {
            title  = each.title
            query  = "${local.log_sources} | ${each.query}"
            region = local.region
            view   = each.view
          }
        }
      ],
    )
  })
}
