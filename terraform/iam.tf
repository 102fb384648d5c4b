locals {
  bucket_arns = { for name, bucket in aws_s3_bucket.this : name => bucket.arn }

  # Terraform writes a contract set to deployed/; migrate copies it to kept/ for runs that started with an earlier set.
  deployed_contracts = { actions = ["s3:GetObject"], resources = ["${local.bucket_arns.config}/deployed/*"] }
  contracts_of_run   = { actions = ["s3:GetObject"], resources = ["${local.bucket_arns.config}/deployed/*", "${local.bucket_arns.config}/kept/*"] }

  start_ingestion = { actions = ["states:StartExecution"], resources = [local.state_machine_arn] }

  notify = {
    actions   = ["events:PutEvents"]
    resources = ["arn:${local.partition}:events:${local.region}:${local.account}:event-bus/default"]
    # IfExists, because the laptop cloud does not set events:source; AWS always does.
    conditions = { StringEqualsIfExists = { "events:source" = local.notice_source } }
  }

  # Lambda creates and deletes network interfaces with the permissions of the function, and rejects a function in a
  # network without them. These actions do not support resource-level permissions here: the interfaces have no ARN
  # beforehand.
  network_actions = [
    "ec2:AssignPrivateIpAddresses",
    "ec2:CreateNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:UnassignPrivateIpAddresses",
  ]
  network = [
    { actions = local.network_actions, resources = ["*"] },
    # Lambda requires this resource pattern, because a function's interfaces are not known beforehand.
    { actions = ["ec2:DeleteNetworkInterface"], resources = ["arn:${local.partition}:ec2:${local.region}:${local.account}:*/*"] },
    # Denies these actions to the function's own code: only its requests have lambda:SourceFunctionArn, Lambda's do not.
    {
      effect     = "Deny"
      actions    = concat(local.network_actions, ["ec2:DeleteNetworkInterface"])
      resources  = ["*"]
      conditions = { Null = { "lambda:SourceFunctionArn" = "false" } }
    },
  ]

  # The landed objects. Contracts choose the keys of their files.
  landed = [for prefix in local.landing.prefixes : "${local.landing.arn}/${prefix}*"]

  # If somebody deletes landing_bucket, anyone can create a bucket with its name. s3:ResourceAccount is the owner's account
  # (https://docs.aws.amazon.com/AmazonS3/latest/userguide/amazon-s3-policy-keys.html). IfExists, because the laptop cloud
  # does not set it; AWS always does.
  of_landing_owner = var.landing_bucket == null ? {} : {
    conditions = { StringEqualsIfExists = { "s3:ResourceAccount" = local.landing.account } }
  }
  read_newest  = merge({ actions = ["s3:GetObject"], resources = local.landed }, local.of_landing_owner)
  read_landed  = merge({ actions = ["s3:GetObjectVersion"], resources = local.landed }, local.of_landing_owner)
  list_landing = merge({ actions = ["s3:ListBucketVersions"], resources = [local.landing.arn] }, local.of_landing_owner)

  # Key patterns, as in shared/staging.py.
  staged = {
    clean   = "${local.bucket_arns.staging}/table=*"
    suspect = "${local.bucket_arns.staging}/state=suspect/table=*"
    refused = "${local.bucket_arns.staging}/state=refused/table=*"
    tested  = "${local.bucket_arns.staging}/state=failed_tests/table=*"
  }

  # Permissions of each function. aws_iam_role_policy.function adds KMS, network interfaces and the function's own log.
  permissions = {
    trigger = [
      local.deployed_contracts,
      # For events without a version ID, and for manifests.
      local.read_newest,
      # For files whose day is that of their landing.
      local.read_landed,
      { actions = ["dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"], resources = [aws_dynamodb_table.log.arn] },
      { actions = ["dynamodb:Query"], resources = [aws_dynamodb_table.log.arn, "${aws_dynamodb_table.log.arn}/index/status"] },
      local.start_ingestion,
      local.notify,
    ]
    transform = [
      local.contracts_of_run,
      local.read_landed,
      { actions = ["s3:ListBucket"], resources = [local.bucket_arns.staging] },
      { actions = ["s3:DeleteObject", "s3:PutObject"], resources = [local.staged.clean, local.staged.suspect] },
      { actions = ["dynamodb:UpdateItem"], resources = [aws_dynamodb_table.log.arn] },
    ]
    test = [
      local.contracts_of_run,
      local.read_landed,
      { actions = ["s3:ListBucket"], resources = [local.bucket_arns.staging] },
      { actions = ["s3:GetObject"], resources = [local.staged.clean, local.staged.suspect, local.staged.refused] },
      { actions = ["s3:DeleteObject", "s3:PutObject"], resources = [local.staged.tested] },
      { actions = ["dynamodb:UpdateItem"], resources = [aws_dynamodb_table.log.arn] },
    ]
    load = concat(local.database_trust_permissions.load, [
      local.contracts_of_run,
      local.list_landing,
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
      local.list_landing,
      local.read_newest, # manifests
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
  # API calls for which a service uses kms_key_arn with the caller's permissions:
  # - DynamoDB decrypts the table's key for each read or write of an item
  #   (docs.aws.amazon.com/amazondynamodb/latest/developerguide/encryption.usagenotes.html).
  # - S3 requires GenerateDataKey to put an object and Decrypt to get one
  #   (docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html), and both for a multipart upload
  #   (docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html#mpuAndPermissions).
  # - SNS requires both to publish (docs.aws.amazon.com/sns/latest/dg/sns-key-management.html).
  # - Secrets Manager requires Decrypt (docs.aws.amazon.com/secretsmanager/latest/userguide/security-encryption.html).
  # Lambda decrypts a function's environment with a grant, without permissions of the function's role
  # (docs.aws.amazon.com/lambda/latest/dg/configuration-envvars-encryption.html).
  kms_calls = {
    "kms:Decrypt" = [
      "dynamodb:DeleteItem",
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

locals {
  # What each role may do in the landing bucket. Another account's bucket needs a policy that allows the same.
  landing_uses = flatten([
    for name, statements in local.permissions : [
      for statement in statements : {
        function = name
        allowed  = jsonencode({ Action = statement.actions, Resource = statement.resources })
      } if length(setintersection(statement.resources, concat([local.landing.arn], local.landed))) > 0
    ]
  ])
  landing_statements = [
    for allowed, functions in { for use in local.landing_uses : use.allowed => use.function... } : merge(
      { Effect = "Allow", Principal = { AWS = [for name in functions : aws_iam_role.function[name].arn] } },
      jsondecode(allowed),
    )
  ]

  # Functions that decrypt objects of landing_bucket.
  landing_readers = distinct([for use in local.landing_uses : use.function if strcontains(use.allowed, "\"s3:GetObject")])
}

resource "aws_iam_role" "function" {
  for_each = local.functions

  # IAM is global, so the name contains the region of the stack.
  name               = "${var.name}-${each.key}-${local.region}"
  description        = "Execution role of the function ${var.name}-${each.key}."
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
        [
          for key in try(var.landing_bucket.kms_key_arn, null)[*] : { actions = ["kms:Decrypt"], resources = [key] }
          if contains(local.landing_readers, each.key)
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
  description        = "Execution role of the state machine ${local.state_machine_name}."
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
        # Log delivery is configured per account: these actions do not support resource-level permissions.
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
  # Trust policies: only the service may assume the role, and only on behalf of this account.
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
