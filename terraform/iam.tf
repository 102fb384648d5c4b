locals {
  bucket_arns = { for name, bucket in aws_s3_bucket.this : name => bucket.arn }

  # A set of contracts is where Terraform puts it or, for a run that began with a former set, where migrate has kept it.
  deployed_contracts = { actions = ["s3:GetObject"], resources = ["${local.bucket_arns.config}/deployed/*"] }
  contracts_of_run   = { actions = ["s3:GetObject"], resources = ["${local.bucket_arns.config}/deployed/*", "${local.bucket_arns.config}/kept/*"] }

  start_ingestion = { actions = ["states:StartExecution"], resources = [local.state_machine_arn] }

  notify = {
    actions   = ["events:PutEvents"]
    resources = ["arn:${local.partition}:events:${local.region}:${local.account}:event-bus/default"]
    # IfExists, because AWS has the source in every call's context and the local cloud in none.
    conditions = { StringEqualsIfExists = { "events:source" = local.notice_source } }
  }

  # Lambda makes and removes network interfaces with the rights of the function that is in a network, and refuses the
  # function without them. Neither what is to be made nor what is to be described has a name to allow it by.
  network_actions = [
    "ec2:AssignPrivateIpAddresses",
    "ec2:CreateNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:UnassignPrivateIpAddresses",
  ]
  network = [
    { actions = local.network_actions, resources = ["*"] },
    # As wide as Lambda asks for, which does not know a function's interfaces beforehand either.
    { actions = ["ec2:DeleteNetworkInterface"], resources = ["arn:${local.partition}:ec2:${local.region}:${local.account}:*/*"] },
    # The function's code needs none of it: what it asks for bears a function's name, what Lambda asks for does not.
    {
      effect     = "Deny"
      actions    = concat(local.network_actions, ["ec2:DeleteNetworkInterface"])
      resources  = ["*"]
      conditions = { Null = { "lambda:SourceFunctionArn" = "false" } }
    },
  ]

  # What lies where; shared/landing_key.py and shared/staging.py say so too.
  landed = "${local.bucket_arns.landing}/table=*"
  staged = {
    clean   = "${local.bucket_arns.staging}/table=*"
    suspect = "${local.bucket_arns.staging}/state=suspect/table=*"
    refused = "${local.bucket_arns.staging}/state=refused/table=*"
    tested  = "${local.bucket_arns.staging}/state=failed_tests/table=*"
  }

  # What each function may do: these statements, its way to the database, and writing its own log; nothing else.
  permissions = {
    trigger = [
      local.deployed_contracts,
      # Of an event that names no version, whatever the key is like.
      { actions = ["s3:GetObject"], resources = ["${local.bucket_arns.landing}/*"] },
      { actions = ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"], resources = [aws_dynamodb_table.log.arn] },
      { actions = ["dynamodb:Query"], resources = ["${aws_dynamodb_table.log.arn}/index/status"] },
      local.start_ingestion,
      local.notify,
    ]
    transform = [
      local.contracts_of_run,
      { actions = ["s3:GetObjectVersion"], resources = [local.landed] },
      { actions = ["s3:ListBucket"], resources = [local.bucket_arns.staging] },
      { actions = ["s3:DeleteObject", "s3:PutObject"], resources = [local.staged.clean, local.staged.suspect] },
      { actions = ["dynamodb:UpdateItem"], resources = [aws_dynamodb_table.log.arn] },
    ]
    test = [
      local.contracts_of_run,
      { actions = ["s3:GetObjectVersion"], resources = [local.landed] },
      { actions = ["s3:ListBucket"], resources = [local.bucket_arns.staging] },
      { actions = ["s3:GetObject"], resources = [local.staged.clean, local.staged.suspect, local.staged.refused] },
      { actions = ["s3:DeleteObject", "s3:PutObject"], resources = [local.staged.tested] },
      { actions = ["dynamodb:UpdateItem"], resources = [aws_dynamodb_table.log.arn] },
    ]
    load = concat(local.database_trust_permissions.load, [
      local.contracts_of_run,
      { actions = ["s3:ListBucketVersions"], resources = [local.bucket_arns.landing] },
      { actions = ["s3:ListBucket"], resources = [local.bucket_arns.staging] },
      { actions = ["s3:GetObject"], resources = [local.staged.clean, "${local.staged.tested}/rejects.jsonl"] },
      { actions = ["s3:PutObject"], resources = [local.staged.refused] },
      { actions = ["dynamodb:UpdateItem"], resources = [aws_dynamodb_table.log.arn] },
      local.database_permissions.load,
    ])
    alert = [
      { actions = ["s3:GetObject"], resources = ["${local.staged.tested}/report.json"] },
      { actions = ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"], resources = [aws_dynamodb_table.log.arn] },
      { actions = ["sns:Publish"], resources = [aws_sns_topic.alerts.arn] },
    ]
    watch = [
      local.deployed_contracts,
      { actions = ["s3:ListBucketVersions"], resources = [local.bucket_arns.landing] },
      { actions = ["dynamodb:DescribeTable", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"], resources = [aws_dynamodb_table.log.arn] },
      { actions = ["dynamodb:Query"], resources = ["${aws_dynamodb_table.log.arn}/index/dataDate", "${aws_dynamodb_table.log.arn}/index/status"] },
      local.start_ingestion,
      { actions = ["states:DescribeExecution"], resources = ["${replace(local.state_machine_arn, ":stateMachine:", ":execution:")}:*"] },
      local.notify,
    ]
    api = concat(local.database_trust_permissions.api, [
      local.deployed_contracts,
      { actions = ["dynamodb:Query"], resources = [aws_dynamodb_table.log.arn, "${aws_dynamodb_table.log.arn}/index/status"] },
      local.database_permissions.api,
    ])
    migrate = concat(local.database_trust_permissions.migrate, [
      local.deployed_contracts,
      { actions = ["s3:ListBucket"], resources = [local.bucket_arns.config], conditions = { StringEquals = { "s3:prefix" = "deployed/" } } },
      { actions = ["s3:PutObject"], resources = ["${local.bucket_arns.config}/kept/*"] },
      local.database_permissions.migrate,
      ], [
      for cluster in aws_rds_cluster.this : {
        actions   = ["rds-data:BeginTransaction", "rds-data:CommitTransaction", "rds-data:ExecuteStatement", "rds-data:RollbackTransaction"]
        resources = [cluster.arn]
      }
    ])
  }
}

locals {
  # The calls for which a service uses kms_key_arn with the permissions of the caller:
  # - DynamoDB decrypts the table's key as whoever reads or writes an item
  #   (docs.aws.amazon.com/amazondynamodb/latest/developerguide/encryption.usagenotes.html).
  # - S3 needs GenerateDataKey to put an object and Decrypt to get one
  #   (docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html), and both for a multipart upload
  #   (docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html#mpuAndPermissions).
  # - SNS needs both of the publisher (docs.aws.amazon.com/sns/latest/dg/sns-key-management.html).
  # - Secrets Manager needs Decrypt (docs.aws.amazon.com/secretsmanager/latest/userguide/security-encryption.html).
  # Lambda decrypts a function's environment by a grant, and needs nothing of the function's role
  # (docs.aws.amazon.com/lambda/latest/dg/configuration-envvars-encryption.html).
  kms_calls = {
    "kms:Decrypt" = [
      "dynamodb:GetItem",
      "dynamodb:PutItem",
      "dynamodb:Query",
      "dynamodb:UpdateItem",
      "s3:GetObject",
      "s3:GetObjectVersion",
      "s3:PutObject",
      "secretsmanager:GetSecretValue",
      "sns:Publish",
    ]
    "kms:GenerateDataKey" = ["s3:PutObject", "sns:Publish"]
  }
  kms_actions = {
    for name, statements in local.permissions : name => [
      for action, calls in local.kms_calls : action
      if length(setintersection(calls, flatten([for statement in statements : statement.actions]))) > 0
    ]
  }
}

resource "aws_iam_role" "function" {
  for_each = local.functions

  # IAM knows no regions, so the name says which one this stack is in.
  name               = "${var.name}-${each.key}-${local.region}"
  description        = "What the function ${var.name}-${each.key} may do."
  assume_role_policy = local.trust["lambda"]
  tags               = local.tags
}

resource "aws_iam_role_policy" "function" {
  for_each = local.functions

  name = each.key
  role = aws_iam_role.function[each.key].id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      for statement in concat(
        local.permissions[each.key],
        [
          for key in var.kms_key_arn[*] : { actions = local.kms_actions[each.key], resources = [key] }
          if length(local.kms_actions[each.key]) > 0
        ],
        [for statement in local.network : statement if contains(local.networked, each.key)],
        [{
          actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
          resources = ["${aws_cloudwatch_log_group.function[each.key].arn}:*"]
        }],
      ) :
      merge(
        { Effect = try(statement.effect, "Allow"), Action = statement.actions, Resource = statement.resources },
        can(statement.conditions) ? { Condition = statement.conditions } : {},
      )
    ]
  })
}

resource "aws_iam_role" "state_machine" {
  name               = "${local.state_machine_name}-${local.region}"
  description        = "What the state machine ${local.state_machine_name} may do."
  assume_role_policy = local.trust["states"]
  tags               = local.tags

  depends_on = [terraform_data.prerequisites]
}

resource "aws_iam_role_policy" "state_machine" {
  name = "ingestion"
  role = aws_iam_role.state_machine.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect   = "Allow"
        Action   = ["lambda:InvokeFunction"]
        Resource = [for name in local.tasks : aws_lambda_function.this[name].arn]
      },
      {
        # The delivery of logs is an account's, not a log group's: these actions take no resource.
        Effect = "Allow"
        Action = [
          "logs:CreateLogDelivery",
          "logs:DeleteLogDelivery",
          "logs:DescribeLogGroups",
          "logs:DescribeResourcePolicies",
          "logs:GetLogDelivery",
          "logs:ListLogDeliveries",
          "logs:PutResourcePolicy",
          "logs:UpdateLogDelivery",
        ]
        Resource = ["*"]
      },
    ]
  })
}

locals {
  # Who may take a role: the service, and only on behalf of this account.
  trust = {
    for service in ["lambda", "states"] : service => jsonencode({
      Version = "2012-10-17"
      Statement = [{
        Effect    = "Allow"
        Principal = { Service = "${service}.amazonaws.com" }
        Action    = "sts:AssumeRole"
        Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
      }]
    })
  }
}
