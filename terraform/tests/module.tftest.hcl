# The module with a mocked AWS provider. Needs no account and no network.

mock_provider "aws" {
  source          = "./tests/mocks"
  override_during = plan
}

run "defaults" {
  command = plan

  variables {
    deletion_protection = null
  }

  # Functions

  assert {
    condition = alltrue([
      for names in [keys(aws_lambda_function.this), [for file in fileset("${path.module}/../functions", "*/handler.py") : dirname(file)]] :
      toset(names) == toset(local.function_names)
    ])
    error_message = "local.function_names, local.functions and the folders under functions/ must be equal."
  }

  assert {
    condition     = alltrue([for name, function in aws_lambda_function.this : function.handler == "functions.${name}.handler.handler"])
    error_message = "A function's handler must be in its folder."
  }

  assert {
    condition     = aws_lambda_function.this["test"].environment[0].variables.HARD_TESTING == "false"
    error_message = "Hard testing must be off by default."
  }

  assert {
    condition     = [for name, function in aws_lambda_function.this : name if can(function.environment[0].variables.HARD_TESTING)] == ["test"]
    error_message = "Only the function test must have HARD_TESTING."
  }

  # State machine

  assert {
    condition = { for name, state in jsondecode(aws_sfn_state_machine.ingestion.definition).States : name => [state.Resource, state.Arguments.FunctionName] if state.Type == "Task" } == {
      for name in ["Transform", "Test", "Load"] : name => ["arn:aws:states:::lambda:invoke", "arn:aws:lambda:eu-central-1:123456789012:function:${lower(name)}"]
    }
    error_message = "Each task must invoke its own function."
  }

  assert {
    condition = jsondecode(aws_iam_role_policy.state_machine.policy).Statement[0] == {
      Effect   = "Allow"
      Action   = ["lambda:InvokeFunction"]
      Resource = [for name in ["transform", "test", "load"] : "arn:aws:lambda:eu-central-1:123456789012:function:${name}"]
    }
    error_message = "The state machine must be allowed to invoke only the functions of its tasks."
  }

  assert {
    condition     = alltrue([for name in local.tasks : jsondecode(aws_sfn_state_machine.ingestion.definition).States[title(name)].TimeoutSeconds > aws_lambda_function.this[name].timeout])
    error_message = "A task's timeout must be longer than its function's, so that the function's error is recorded."
  }

  assert {
    # The longest run: Lambda must activate every function first, and every attempt of every task times out. Other
    # retries are short.
    condition = jsondecode(aws_sfn_state_machine.ingestion.definition).TimeoutSeconds > sum(concat(
      [
        for name in local.tasks : aws_lambda_function.this[name].timeout * (1 + one([
          for retry in jsondecode(aws_sfn_state_machine.ingestion.definition).States[title(name)].Retry : retry.MaxAttempts if contains(retry.ErrorEquals, "Sandbox.Timedout")
        ]))
      ],
      flatten([
        for name in local.tasks : [
          for retry in jsondecode(aws_sfn_state_machine.ingestion.definition).States[title(name)].Retry : [
            for attempt in range(retry.MaxAttempts) : retry.IntervalSeconds * pow(retry.BackoffRate, attempt)
          ] if contains(retry.ErrorEquals, "Lambda.ResourceNotReadyException")
        ]
      ]),
    ))
    error_message = "The state machine's timeout must be longer than its tasks with all retries."
  }

  # Permissions

  assert {
    condition = {
      for action in distinct(flatten([for policy in aws_iam_role_policy.function : [for statement in jsondecode(policy.policy).Statement : statement.Action]])) :
      action => [for name, policy in aws_iam_role_policy.function : name if contains(flatten([for statement in jsondecode(policy.policy).Statement : statement.Action]), action)]
      } == {
      "dynamodb:DeleteItem"           = ["trigger"]
      "dynamodb:DescribeTable"        = ["watch"]
      "dynamodb:GetItem"              = ["alert", "trigger", "watch"]
      "dynamodb:PutItem"              = ["alert", "trigger", "watch"]
      "dynamodb:Query"                = ["api", "trigger", "watch"]
      "dynamodb:UpdateItem"           = ["alert", "load", "test", "transform", "trigger", "watch"]
      "events:PutEvents"              = ["trigger", "watch"]
      "logs:CreateLogStream"          = local.function_names
      "logs:PutLogEvents"             = local.function_names
      "s3:DeleteObject"               = ["test", "transform"]
      "s3:GetObject"                  = local.function_names
      "s3:GetObjectVersion"           = ["test", "transform", "trigger"]
      "s3:ListBucket"                 = ["load", "migrate", "test", "transform"]
      "s3:ListBucketVersions"         = ["load", "watch"]
      "s3:PutObject"                  = ["load", "migrate", "test", "transform"]
      "secretsmanager:GetSecretValue" = ["api", "load", "migrate"]
      "sns:Publish"                   = ["alert"]
      "states:DescribeExecution"      = ["watch"]
      "states:StartExecution"         = ["trigger", "watch"]
    }
    error_message = "The functions' roles must allow exactly these actions."
  }

  assert {
    condition = alltrue(flatten([
      for policy in aws_iam_role_policy.function : [
        for statement in jsondecode(policy.policy).Statement : [for resource in statement.Resource : resource != "*" && startswith(resource, "arn:aws:")]
      ]
    ]))
    error_message = "Every statement of a function's role must name its resources."
  }

  assert {
    # Functions must not change or delete landed files.
    condition = alltrue(flatten([
      for policy in aws_iam_role_policy.function : [
        for statement in jsondecode(policy.policy).Statement : [
          for action in statement.Action : startswith(action, "s3:Get") || startswith(action, "s3:List")
        ] if anytrue([for resource in statement.Resource : startswith(resource, "arn:aws:s3:::landing")])
      ]
    ]))
    error_message = "Functions must only read from the landing bucket."
  }

  assert {
    condition = alltrue([
      for role in concat(values(aws_iam_role.function), [aws_iam_role.state_machine]) :
      jsondecode(role.assume_role_policy).Statement[0].Condition == { StringEquals = { "aws:SourceAccount" = "123456789012" } }
    ])
    error_message = "Services must assume roles only on behalf of this account."
  }

  assert {
    condition = alltrue([
      for permission in concat([aws_lambda_permission.api, aws_lambda_permission.next, aws_lambda_permission.trigger, aws_lambda_permission.watch], values(aws_lambda_permission.alert), values(aws_lambda_permission.keep_active)) :
      startswith(permission.source_arn, "arn:aws:")
    ])
    error_message = "Every permission to invoke a function must have a source ARN."
  }

  assert {
    condition = (
      keys(aws_cloudwatch_event_target.keep_active) == keys(aws_lambda_function.this)
      && keys(aws_lambda_permission.keep_active) == keys(aws_lambda_function.this)
      && alltrue([for name, rule in aws_cloudwatch_event_rule.keep_active : rule.schedule_expression == "rate(1 day)" && rule.name == "tm-pipeline-keep-active-${name}"])
      && alltrue([for name, target in aws_cloudwatch_event_target.keep_active : target.rule == aws_cloudwatch_event_rule.keep_active[name].name && target.arn == aws_lambda_function.this[name].arn])
    )
    error_message = "Each function must have a rule that invokes it once a day."
  }

  assert {
    condition = (
      aws_cloudwatch_event_target.next.rule == "tm-pipeline-execution-ended"
      && aws_cloudwatch_event_target.next.arn == aws_lambda_function.this["watch"].arn
      && aws_lambda_permission.next.function_name == aws_lambda_function.this["watch"].function_name
    )
    error_message = "Run-end events must invoke watch, which starts queued files."
  }

  assert {
    # The ARN of a bucket does not contain its account.
    condition     = aws_lambda_permission.trigger.source_account == "123456789012" && aws_lambda_permission.trigger.source_arn == "arn:aws:s3:::landing"
    error_message = "Only the landing bucket of this account may invoke trigger."
  }

  assert {
    # dashboard.tftest.hcl tests the Allow statement.
    condition = [for statement in jsondecode(aws_sns_topic_policy.alerts.policy).Statement : [statement.Sid, statement.Principal, statement.Condition] if statement.Effect == "Deny"] == [
      ["TlsOnly", "*", { Bool = { "aws:SecureTransport" = "false" } }],
      ["AlertOnly", "*", {
        ArnNotLike   = { "aws:PrincipalArn" = ["arn:aws:iam::123456789012:role/alert", "arn:aws:sts::123456789012:assumed-role/tm-pipeline-alert-eu-central-1/*"] }
        BoolIfExists = { "aws:PrincipalIsAWSService" = "false" }
      }],
    ]
    error_message = "The topic must deny messages from others than alert, and without TLS."
  }

  # Storage

  assert {
    condition     = aws_s3_bucket_versioning.landing[0].versioning_configuration[0].status == "Enabled"
    error_message = "The landing bucket must have versioning."
  }

  assert {
    # Provider 6 computes kms_master_key_id, so this checks the algorithm: AES256 uses no KMS key.
    condition = alltrue([
      for algorithm in flatten([for configuration in aws_s3_bucket_server_side_encryption_configuration.this : [for rule in configuration.rule : rule.apply_server_side_encryption_by_default[*].sse_algorithm]]) :
      algorithm == "AES256"
      ]) && alltrue([
      for key in concat(
        [for group in values(aws_cloudwatch_log_group.function) : group.kms_key_id],
        [for function in values(aws_lambda_function.this) : function.kms_key_arn],
        [aws_cloudwatch_log_group.state_machine.kms_key_id, aws_sns_topic.alerts.kms_master_key_id],
        aws_dynamodb_table.log.server_side_encryption,
      ) : key == null
    ]) && !strcontains(jsonencode([for policy in aws_iam_role_policy.function : policy.policy]), "kms:")
    error_message = "Nothing must use a KMS key by default."
  }

  assert {
    condition     = aws_dynamodb_table.log.deletion_protection_enabled && terraform_data.protection.input
    error_message = "The log table and the stack must be protected from deletion by default."
  }

  assert {
    condition     = alltrue([for name, bucket in aws_s3_bucket.this : bucket.force_destroy == (name == "config")])
    error_message = "Destroying the stack must not delete files by default."
  }

  assert {
    condition = toset([for bucket in aws_s3_bucket.this : "${bucket.bucket}: Enabled 7 []"]) == toset(flatten([
      for configuration in aws_s3_bucket_lifecycle_configuration.this : [
        for rule in configuration.rule :
        "${configuration.bucket}: ${rule.status} ${one(rule.abort_incomplete_multipart_upload).days_after_initiation} ${jsonencode(rule.expiration)}"
        if rule.id != "former-contracts"
      ]
    ]))
    error_message = "Every bucket must delete incomplete uploads, and by default must not expire objects."
  }

  assert {
    condition     = { for name, bucket in aws_s3_bucket.this : name => bucket.bucket } == { config = "tm-pipeline-config-123456789012-eu-central-1", landing = "tm-pipeline-landing-123456789012-eu-central-1", staging = "tm-pipeline-staging-123456789012-eu-central-1" }
    error_message = "A bucket's name must contain the stack, account and region."
  }

  # Outputs

  assert {
    condition     = output.image_uris == null && alltrue([for function in aws_lambda_function.this : function.image_uri == null])
    error_message = "With a zip archive no output or function must have an image."
  }
}

run "bucket_of_this_account" {
  command = plan

  variables {
    landing_bucket = { name = "files", prefixes = ["table=", "incoming/"] }
    force_destroy  = true
  }

  assert {
    condition     = toset(flatten([for each in [aws_s3_bucket.this, aws_s3_bucket_policy.this, aws_s3_bucket_lifecycle_configuration.this] : keys(each)])) == toset(["config", "staging"]) && length(concat(aws_s3_bucket_versioning.landing, aws_s3_bucket_notification.landing)) == 0
    error_message = "With var.landing_bucket the module must create and change no landing bucket."
  }

  assert {
    condition = try(jsondecode(aws_cloudwatch_event_rule.landing[0].event_pattern), null) == {
      source      = ["aws.s3"]
      detail-type = ["Object Created"]
      account     = ["123456789012"]
      detail      = { bucket = { name = ["files"] }, object = { key = [{ prefix = "incoming/" }, { prefix = "table=" }] } }
    }
    error_message = "The rule must match the new objects of var.landing_bucket with its prefixes."
  }

  assert {
    condition = try(
      aws_cloudwatch_event_target.landing[0].arn == aws_lambda_function.this["trigger"].arn
      && aws_lambda_permission.trigger.principal == "events.amazonaws.com"
      && aws_lambda_permission.trigger.source_arn == aws_cloudwatch_event_rule.landing[0].arn
      && aws_lambda_permission.trigger.source_account == null,
      false
    )
    error_message = "Only the rule of var.landing_bucket may invoke trigger."
  }

  assert {
    condition     = try(local.alarms["failed-deliveries-landing"].dimensions == { RuleName = aws_cloudwatch_event_rule.landing[0].name }, false)
    error_message = "An alarm must report failed deliveries of the rule of var.landing_bucket."
  }

  assert {
    condition = [for name in ["trigger", "watch"] : [
      for variable in ["LANDING_BUCKET", "LANDING_PREFIXES"] : lookup(aws_lambda_function.this[name].environment[0].variables, variable, null)
    ]] == [["files", "[\"incoming/\",\"table=\"]"], ["files", "[\"incoming/\",\"table=\"]"]] && output.landing_bucket == "files"
    error_message = "var.landing_bucket does not reach trigger, watch or the output."
  }

  assert {
    condition = toset([
      for statement in flatten([for policy in aws_iam_role_policy.function : jsondecode(policy.policy).Statement]) : [statement.Action, statement.Resource, statement.Condition]
      if anytrue([for resource in statement.Resource : startswith(resource, "arn:aws:s3:::files")])
      ]) == toset([
      for action in ["s3:GetObject", "s3:GetObjectVersion", "s3:ListBucketVersions"] : [
        [action],
        action == "s3:ListBucketVersions" ? ["arn:aws:s3:::files"] : ["arn:aws:s3:::files/incoming/*", "arn:aws:s3:::files/table=*"],
        { StringEqualsIfExists = { "s3:ResourceAccount" = "123456789012" } },
      ]
    ])
    error_message = "Functions must only read the prefixes of var.landing_bucket, and only while this account owns it."
  }
}

run "bucket_of_another_account" {
  command = plan

  variables {
    kms_key_arn    = "arn:aws:kms:eu-central-1:123456789012:key/given"
    landing_bucket = { name = "files", account_id = "210987654321", kms_key_arn = "arn:aws:kms:eu-central-1:210987654321:key/theirs" }

    manage_lifecycle_rules = false
  }

  assert {
    condition     = length(aws_s3_bucket_lifecycle_configuration.this) == 0
    error_message = "var.manage_lifecycle_rules does not keep the module from creating lifecycle rules."
  }

  assert {
    condition = (
      length(aws_cloudwatch_event_rule.landing) == 0
      && aws_lambda_permission.trigger.principal == "arn:aws:iam::210987654321:root"
      && aws_lambda_permission.trigger.source_arn == null
    )
    error_message = "A rule in the account of var.landing_bucket must invoke trigger, and the module must create none."
  }

  assert {
    condition = try(jsondecode(output.landing_bucket_needs.event_pattern), null) == {
      source      = ["aws.s3"]
      detail-type = ["Object Created"]
      account     = ["210987654321"]
      detail      = { bucket = { name = ["files"] } }
    } && try(output.landing_bucket_needs.trigger_arn, null) == aws_lambda_function.this["trigger"].arn
    error_message = "The output must describe a rule for every new object of var.landing_bucket."
  }

  assert {
    # Each role has the same permissions in its own policy as in the bucket's.
    condition = toset(flatten([
      for statement in try(output.landing_bucket_needs.bucket_statements, []) : [for role in statement.Principal.AWS : "${role} ${join(" ", statement.Action)} ${join(" ", statement.Resource)}"]
      ])) == toset(flatten([
      for name, policy in aws_iam_role_policy.function : [
        for statement in jsondecode(policy.policy).Statement : "${aws_iam_role.function[name].arn} ${join(" ", statement.Action)} ${join(" ", statement.Resource)}"
        if anytrue([for resource in statement.Resource : startswith(resource, "arn:aws:s3:::files")])
      ]
    ])) && toset([for statement in try(output.landing_bucket_needs.bucket_statements, []) : statement.Effect]) == toset(["Allow"])
    error_message = "The bucket's policy must allow what the functions' roles allow in var.landing_bucket."
  }

  assert {
    condition = toset([
      for name, policy in aws_iam_role_policy.function : name
      if contains(flatten([for statement in jsondecode(policy.policy).Statement : statement.Resource]), var.landing_bucket.kms_key_arn)
    ]) == toset(local.landing_readers) && contains(local.landing_readers, "transform") && !contains(local.landing_readers, "alert")
    error_message = "Exactly the functions that read files must use var.landing_bucket.kms_key_arn."
  }
}

run "own_contracts" {
  command = plan

  variables {
    contracts_dir = "./examples/your-own-tables/contracts"
  }

  assert {
    condition     = jsondecode(aws_s3_object.config[local.contracts_key].content) == { for file in ["customers.odcs.yaml", "orders.odcs.yaml"] : file => file("${var.contracts_dir}/${file}") }
    error_message = "var.contracts_dir does not reach the object with the contract set."
  }

  assert {
    condition = (
      aws_s3_object.config[local.contracts_key].key == "deployed/${sha256(aws_s3_object.config[local.contracts_key].content)}.json"
      && output.contracts_hash == sha256(aws_s3_object.config[local.contracts_key].content)
      && jsondecode(aws_lambda_invocation.migrate.input).contracts == output.contracts_hash
    )
    error_message = "The key of the object, the output and migrate's input must contain the hash of the contract set."
  }

  assert {
    condition = toset([
      for name, function in aws_lambda_function.this : name
      if[lookup(function.environment[0].variables, "CONFIG_BUCKET", ""), lookup(function.environment[0].variables, "CONTRACTS_HASH", "")] == [output.config_bucket, output.contracts_hash]
    ]) == setsubtract(local.function_names, ["alert"])
    error_message = "Exactly the functions that read contracts must have their location."
  }

  assert {
    condition     = [for rule in aws_s3_bucket_lifecycle_configuration.this["config"].rule : [rule.status, rule.filter[0].prefix, one(rule.expiration).days] if rule.id == "former-contracts"] == [["Enabled", "kept/", 30]]
    error_message = "Earlier contract sets must expire after 30 days."
  }
}

run "everything_set" {
  command = plan

  variables {
    name                   = "blue"
    hard_testing           = true
    alert_on               = "failures"
    alert_emails           = ["a@example.com", "b@example.com"]
    staging_retention_days = 30
    force_destroy          = true
    log_retention_days     = 400
    log_level              = "DEBUG"
    watch_schedule         = "rate(1 hour)"
    max_concurrency        = 20
    api_auth               = "key"
    api_key_value          = "a key of the user's own"
    kms_key_arn            = "arn:aws:kms:eu-central-1:123456789012:key/given"
    tags                   = { Team = "data" }
  }

  assert {
    condition     = !aws_dynamodb_table.log.deletion_protection_enabled && !terraform_data.protection.input
    error_message = "var.deletion_protection does not reach the log table or terraform_data.protection."
  }

  assert {
    condition     = alltrue([for bucket in aws_s3_bucket.this : bucket.force_destroy])
    error_message = "var.force_destroy does not reach the buckets."
  }

  assert {
    condition     = alltrue([for group in concat(values(aws_cloudwatch_log_group.function), [aws_cloudwatch_log_group.state_machine]) : group.retention_in_days == 400])
    error_message = "var.log_retention_days does not reach every log group."
  }

  assert {
    condition     = alltrue([for function in aws_lambda_function.this : function.environment[0].variables.POWERTOOLS_LOG_LEVEL == "DEBUG"])
    error_message = "var.log_level does not reach every function."
  }

  assert {
    condition     = aws_cloudwatch_event_rule.watch.schedule_expression == "rate(1 hour)"
    error_message = "var.watch_schedule does not reach the rule that invokes watch."
  }

  assert {
    condition = output.max_concurrency == 20 && [
      for name, function in aws_lambda_function.this : name
      if lookup(function.environment[0].variables, "MAX_CONCURRENCY", "") == "20"
    ] == ["trigger", "watch"]
    error_message = "var.max_concurrency does not reach the functions that start runs or the output."
  }

  assert {
    condition     = aws_api_gateway_api_key.lookup[0].value == "a key of the user's own" && output.api_key == "a key of the user's own"
    error_message = "var.api_key_value does not reach the API or the output."
  }

  # KMS key

  assert {
    condition = distinct(concat(
      [for group in values(aws_cloudwatch_log_group.function) : group.kms_key_id],
      [for function in values(aws_lambda_function.this) : function.kms_key_arn],
      [aws_cloudwatch_log_group.state_machine.kms_key_id],
      [aws_sns_topic.alerts.kms_master_key_id],
      [for encryption in aws_dynamodb_table.log.server_side_encryption : encryption.kms_key_arn if encryption.enabled],
    )) == tolist([var.kms_key_arn]) && length(aws_dynamodb_table.log.server_side_encryption) == 1
    error_message = "var.kms_key_arn does not reach the logs, the environments, the topic or the log table."
  }

  assert {
    condition = {
      for name, policy in aws_iam_role_policy.function : name => flatten([
        for statement in jsondecode(policy.policy).Statement : [statement.Action, statement.Resource] if startswith(statement.Action[0], "kms:")
      ])
      } == {
      alert     = ["kms:Decrypt", "kms:GenerateDataKey", var.kms_key_arn]
      api       = ["kms:Decrypt", var.kms_key_arn]
      load      = ["kms:Decrypt", "kms:GenerateDataKey", var.kms_key_arn]
      migrate   = ["kms:Decrypt", "kms:GenerateDataKey", var.kms_key_arn]
      test      = ["kms:Decrypt", "kms:GenerateDataKey", var.kms_key_arn]
      transform = ["kms:Decrypt", "kms:GenerateDataKey", var.kms_key_arn]
      trigger   = ["kms:Decrypt", var.kms_key_arn]
      watch     = ["kms:Decrypt", var.kms_key_arn]
    }
    error_message = "Each function must be allowed exactly the actions on var.kms_key_arn that it needs."
  }

  assert {
    condition     = aws_lambda_function.this["test"].environment[0].variables.HARD_TESTING == "true"
    error_message = "var.hard_testing does not reach the test function."
  }

  assert {
    condition     = aws_lambda_function.this["alert"].environment[0].variables.ALERT_ON == "failures"
    error_message = "var.alert_on does not reach the alert function."
  }

  assert {
    condition = { for name, configuration in aws_s3_bucket_lifecycle_configuration.this : name => join(" ", flatten([
      for rule in configuration.rule : [rule.id, rule.expiration[*].days]
    ])) } == { config = "uploads former-contracts 30", landing = "uploads", staging = "uploads retention 30" }
    error_message = "var.staging_retention_days does not reach the staging bucket."
  }

  assert {
    condition     = toset([for subscription in aws_sns_topic_subscription.email : subscription.endpoint]) == toset(["a@example.com", "b@example.com"])
    error_message = "Every address of var.alert_emails must be subscribed."
  }

  assert {
    condition     = alltrue([for name in concat(values(output.function_names), [output.log_table, output.landing_bucket]) : startswith(name, "blue-")])
    error_message = "Every name must begin with var.name."
  }

  assert {
    condition     = aws_lambda_function.this["api"].tags == tomap({ Application = "blue", ManagedBy = "Terraform", Team = "data", Version = local.version })
    error_message = "var.tags does not reach the functions."
  }
}
