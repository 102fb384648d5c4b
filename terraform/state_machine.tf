locals {
  # The functions that the state machine invokes.
  tasks = ["transform", "test", "load"]
}

resource "aws_cloudwatch_log_group" "state_machine" {
  # With this prefix CloudWatch Logs needs no entry per log group in its resource policy, whose size is limited.
  name              = "/aws/vendedlogs/states/${local.state_machine_name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
  tags              = local.tags

  depends_on = [terraform_data.prerequisites]
}

resource "aws_sfn_state_machine" "ingestion" {
  # checkov:skip=CKV_AWS_284:the log table records each state of a file with its times; traces are billed
  # checkov:skip=CKV_AWS_285:failures are logged; Step Functions keeps the history of each execution for 90 days
  name     = local.state_machine_name
  type     = "STANDARD"
  role_arn = aws_iam_role.state_machine.arn
  tags     = local.tags

  # All tasks share one payload and one list of retriers. The definition contains the names of their files as strings,
  # which are replaced by the contents of these files.
  definition = replace(
    replace(
      templatefile("${path.module}/state_machine.asl.json", merge(
        { partition = local.partition },
        { for name in local.tasks : "${name}_arn" => aws_lambda_function.this[name].arn },
      )),
      "\"state_machine.payload.json\"", trimspace(file("${path.module}/state_machine.payload.json")),
    ),
    "\"state_machine.retry.json\"", indent(6, trimspace(file("${path.module}/state_machine.retry.json"))),
  )

  logging_configuration {
    level                  = "ERROR"
    include_execution_data = false
    log_destination        = "${aws_cloudwatch_log_group.state_machine.arn}:*"
  }

  depends_on = [aws_iam_role_policy.state_machine]
}
