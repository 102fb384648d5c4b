# What the module makes, of a mocked AWS: no account, no network.

mock_provider "aws" {
  source = "./tests/mocks"
}

override_resource {
  target = aws_s3_bucket.this["landing"]
  values = { arn = "arn:aws:s3:::landing" }
}
override_resource {
  target = aws_s3_bucket.this["staging"]
  values = { arn = "arn:aws:s3:::staging" }
}

variables {
  function_zip = {
    bucket = "code"
    key    = "functions.zip"
    hash   = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
  }
  database = {
    host = "db.example.com"
    name = "pipeline"
    auth = "secret"
    secret_arns = {
      migrate = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:migrate"
      load    = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:load"
      api     = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:api"
    }
  }
}

run "defaults" {
  # Functions

  assert {
    condition     = toset(keys(aws_lambda_function.this)) == toset([for file in fileset("${path.module}/../functions", "*/__init__.py") : dirname(file)])
    error_message = "local.functions and the folders under functions/ differ."
  }

  assert {
    condition     = alltrue([for name, function in aws_lambda_function.this : function.handler == "functions.${name}.handler.handler"])
    error_message = "A function's handler is not in its own folder."
  }

  assert {
    condition     = aws_lambda_function.this["test"].environment[0].variables.HARD_TESTING == "false"
    error_message = "Hard testing is not off by default."
  }

  assert {
    condition     = [for name, function in aws_lambda_function.this : name if can(function.environment[0].variables.HARD_TESTING)] == ["test"]
    error_message = "HARD_TESTING reaches another function than test."
  }

  # State machine

  assert {
    condition     = alltrue([for name in local.tasks : jsondecode(aws_sfn_state_machine.ingestion.definition).States[title(name)].TimeoutSeconds > aws_lambda_function.this[name].timeout])
    error_message = "A task's time-out is not longer than its function's: the run would not say why it halted."
  }

  assert {
    # Only a time-out is both long and tried again: the state machine outlasts the last try of every task.
    condition = jsondecode(aws_sfn_state_machine.ingestion.definition).TimeoutSeconds > sum([
      for name in local.tasks : aws_lambda_function.this[name].timeout * (1 + one([
        for retry in jsondecode(aws_sfn_state_machine.ingestion.definition).States[title(name)].Retry : retry.MaxAttempts if contains(retry.ErrorEquals, "Sandbox.Timedout")
      ]))
    ])
    error_message = "The state machine's time-out is shorter than what its tasks' retries may take."
  }

  # Permissions

  assert {
    condition = {
      for action in distinct(flatten([for policy in aws_iam_role_policy.function : [for statement in jsondecode(policy.policy).Statement : statement.Action]])) :
      action => [for name, policy in aws_iam_role_policy.function : name if contains(flatten([for statement in jsondecode(policy.policy).Statement : statement.Action]), action)]
      } == {
      "dynamodb:GetItem"              = ["alert", "trigger", "watch"]
      "dynamodb:PutItem"              = ["alert", "trigger", "watch"]
      "dynamodb:Query"                = ["api", "watch"]
      "dynamodb:UpdateItem"           = ["alert", "load", "test", "transform"]
      "events:PutEvents"              = ["trigger", "watch"]
      "logs:CreateLogStream"          = ["alert", "api", "load", "migrate", "test", "transform", "trigger", "watch"]
      "logs:PutLogEvents"             = ["alert", "api", "load", "migrate", "test", "transform", "trigger", "watch"]
      "s3:AbortMultipartUpload"       = ["test", "transform"]
      "s3:DeleteObject"               = ["test", "transform"]
      "s3:GetObject"                  = ["alert", "load", "test"]
      "s3:GetObjectVersion"           = ["test", "transform"]
      "s3:ListBucket"                 = ["load", "test", "transform"]
      "s3:ListBucketVersions"         = ["load", "watch"]
      "s3:PutObject"                  = ["test", "transform"]
      "secretsmanager:GetSecretValue" = ["api", "load", "migrate"]
      "sns:Publish"                   = ["alert"]
      "states:DescribeExecution"      = ["watch"]
      "states:StartExecution"         = ["trigger", "watch"]
    }
    error_message = "The functions' roles allow other actions than this table says."
  }

  assert {
    condition = alltrue(flatten([
      for policy in aws_iam_role_policy.function : [
        for statement in jsondecode(policy.policy).Statement : [for resource in statement.Resource : resource != "*" && startswith(resource, "arn:aws:")]
      ]
    ]))
    error_message = "A function's role has a statement that names no resource."
  }

  assert {
    # Nothing that runs may change or delete a raw file.
    condition = alltrue(flatten([
      for policy in aws_iam_role_policy.function : [
        for statement in jsondecode(policy.policy).Statement : [
          for action in statement.Action : startswith(action, "s3:Get") || startswith(action, "s3:List")
        ] if anytrue([for resource in statement.Resource : startswith(resource, "arn:aws:s3:::landing")])
      ]
    ]))
    error_message = "A function may do more than read in the landing bucket."
  }

  assert {
    condition = alltrue([
      for role in concat(values(aws_iam_role.function), [aws_iam_role.state_machine]) :
      jsondecode(role.assume_role_policy).Statement[0].Condition == { StringEquals = { "aws:SourceAccount" = "123456789012" } }
    ])
    error_message = "A role can be taken on behalf of another account."
  }

  assert {
    condition = alltrue([
      for permission in concat([aws_lambda_permission.trigger, aws_lambda_permission.watch], values(aws_lambda_permission.alert), values(aws_lambda_permission.api)) :
      startswith(permission.source_arn, "arn:aws:")
    ])
    error_message = "A service may call a function for another sender than ours."
  }

  # Storage

  assert {
    condition     = length(aws_s3_bucket_lifecycle_configuration.staging) == 0
    error_message = "Staging has a lifecycle although nobody asked for one."
  }

  assert {
    condition     = { for name, bucket in aws_s3_bucket.this : name => bucket.bucket } == { landing = "tm-pipeline-landing-123456789012-eu-central-1", staging = "tm-pipeline-staging-123456789012-eu-central-1" }
    error_message = "A bucket's name does not say which stack, account and region it belongs to."
  }

  # Outputs

  assert {
    condition     = output.alert_emails_pending == null
    error_message = "Without addresses there is nothing to confirm."
  }
}

run "everything_set" {
  variables {
    name                   = "blue"
    hard_testing           = true
    alert_emails           = ["a@example.com", "b@example.com"]
    staging_retention_days = 30
    tags                   = { Team = "data" }
  }

  assert {
    condition     = aws_lambda_function.this["test"].environment[0].variables.HARD_TESTING == "true"
    error_message = "hard_testing does not reach the test function."
  }

  assert {
    condition     = aws_s3_bucket_lifecycle_configuration.staging[0].rule[0].expiration[0].days == 30
    error_message = "staging_retention_days does not reach the staging bucket."
  }

  assert {
    condition     = toset([for subscription in aws_sns_topic_subscription.email : subscription.endpoint]) == toset(["a@example.com", "b@example.com"])
    error_message = "Not every address of alert_emails is subscribed."
  }

  assert {
    condition     = strcontains(output.alert_emails_pending, "a@example.com, b@example.com")
    error_message = "The output does not say which addresses must confirm."
  }

  assert {
    condition     = alltrue([for name in concat(values(output.function_names), [output.log_table, output.landing_bucket]) : startswith(name, "blue-")])
    error_message = "A name does not begin with var.name."
  }

  assert {
    condition     = aws_lambda_function.this["api"].tags == tomap({ Application = "blue", ManagedBy = "Terraform", Team = "data" })
    error_message = "The tags do not reach the functions."
  }
}

run "wrong_values_are_refused" {
  command = plan

  variables {
    name                   = "Blue_"
    alert_emails           = ["nobody"]
    function_zip           = { bucket = "code", key = "functions.zip", hash = "abc" }
    watch_schedule         = "every 15 minutes"
    staging_retention_days = 0
    log_retention_days     = 31
    log_level              = "LOUD"
    architecture           = "riscv64"
    base_image             = "python 3.13"
    database = {
      host        = "db.example.com"
      port        = 0
      name        = "pipeline"
      auth        = "secret"
      secret_arns = { migrate = "secret", load = "secret", api = "secret" }
    }
  }

  expect_failures = [
    var.alert_emails,
    var.architecture,
    var.base_image,
    var.database,
    var.function_zip,
    var.log_level,
    var.log_retention_days,
    var.name,
    var.staging_retention_days,
    var.watch_schedule,
  ]
}
