locals {
  # The tables that rows are counted for: the metrics' dimension is the contract's table.
  tables = [for file in sort(keys(local.contracts)) : local.contracts[file].schema[0].name]

  # Title, and the metrics as CloudWatch's dashboards spell them. Two graphs stand in a row.
  graphs = concat(
    [
      {
        title = "Runs by how they ended"
        metrics = [
          for outcome in ["Succeeded", "Failed", "TimedOut", "Aborted"] :
          ["AWS/States", "Executions${outcome}", "StateMachineArn", local.state_machine_arn, { label = outcome, stat = "Sum" }]
        ]
      },
      {
        title   = "Duration of a run (ms)"
        metrics = [for stat in ["p50", "p99"] : ["AWS/States", "ExecutionTime", "StateMachineArn", local.state_machine_arn, { label = stat, stat = stat }]]
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
        title   = "Calls of the look-up API"
        metrics = [for metric in ["Count", "4XXError", "5XXError"] : ["AWS/ApiGateway", metric, "ApiName", aws_api_gateway_rest_api.lookup.name, "Stage", aws_api_gateway_stage.prod.stage_name, { label = metric, stat = "Sum" }]]
      },
      {
        title   = "Errors of the functions"
        metrics = [for name in sort(keys(local.functions)) : ["AWS/Lambda", "Errors", "FunctionName", "${var.name}-${name}", { label = name, stat = "Sum" }]]
      },
      {
        title   = "Duration of the functions, the slowest call (ms)"
        metrics = [for name in sort(keys(local.functions)) : ["AWS/Lambda", "Duration", "FunctionName", "${var.name}-${name}", { label = name, stat = "Maximum" }]]
      },
    ],
  )
}

resource "aws_cloudwatch_dashboard" "this" {
  dashboard_name = var.name

  dashboard_body = jsonencode({
    widgets = [
      for index, graph in local.graphs : {
        type   = "metric"
        x      = 12 * (index % 2)
        y      = 6 * floor(index / 2)
        width  = 12
        height = 6
        properties = {
          title   = graph.title
          metrics = graph.metrics
          region  = local.region
          period  = 300
          view    = "timeSeries"
        }
      }
    ]
  })
}
