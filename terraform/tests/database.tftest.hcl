# Created and given databases: network, logins and permissions of the functions.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  # A database with IAM, without its host.
  with_iam = {
    name        = "pipeline"
    auth        = "iam"
    resource_id = "db-GIVEN"
    users       = { migrate = "owner", load = "loader", api = "reader" }
  }
  in_a_network = { vpc = { subnet_ids = ["subnet-1"], security_group_ids = ["sg-1"] } }
}

run "created" {
  variables {
    database            = null
    deletion_protection = null
  }

  # Aurora

  assert {
    condition = one([for scaling in aws_rds_cluster.this[0].serverlessv2_scaling_configuration : [
      scaling.min_capacity, scaling.max_capacity, scaling.seconds_until_auto_pause
    ]]) == [0, 4, 300]
    error_message = "The database must pause after five minutes and have at most 4 ACUs by default."
  }

  assert {
    condition = [for parameter in aws_rds_cluster_parameter_group.this[0].parameter : "${parameter.name}=${parameter.value}"] == ["rds.force_ssl=1"] && (
      aws_rds_cluster.this[0].db_cluster_parameter_group_name == aws_rds_cluster_parameter_group.this[0].name
    )
    error_message = "The database must require TLS."
  }

  assert {
    condition     = aws_rds_cluster_parameter_group.this[0].family == "aurora-postgresql${aws_rds_cluster.this[0].engine_version}"
    error_message = "The parameter group must have the major version of the cluster."
  }

  assert {
    condition = alltrue([
      aws_rds_cluster.this[0].iam_database_authentication_enabled,
      aws_rds_cluster.this[0].enable_http_endpoint,
      aws_rds_cluster.this[0].manage_master_user_password,
      aws_rds_cluster.this[0].storage_encrypted,
      aws_rds_cluster.this[0].copy_tags_to_snapshot,
      aws_rds_cluster.this[0].deletion_protection,
      !aws_rds_cluster.this[0].skip_final_snapshot,
      aws_rds_cluster.this[0].backup_retention_period == 7,
    ])
    error_message = "The database must be encrypted, protected and backed up, and accept IAM tokens and the Data API."
  }

  assert {
    condition     = can(regex("^tm-pipeline-database-of-[0-9]{14}$", aws_rds_cluster.this[0].final_snapshot_identifier))
    error_message = "The name of the final snapshot must be unique, or destroying a second stack of this name fails."
  }

  assert {
    condition     = aws_rds_cluster_instance.this[0].instance_class == "db.serverless" && !aws_rds_cluster_instance.this[0].publicly_accessible && aws_rds_cluster_instance.this[0].ca_cert_identifier == "rds-ca-rsa2048-g1"
    error_message = "The instance must be serverless and private, with a certificate that the functions trust."
  }

  assert {
    condition     = aws_cloudwatch_log_group.database[0].name == "/aws/rds/cluster/${aws_rds_cluster.this[0].cluster_identifier}/postgresql" && aws_cloudwatch_log_group.database[0].retention_in_days == 30
    error_message = "PostgreSQL's log must go to the log group with a retention period."
  }

  # Network

  assert {
    condition = { for zone, subnet in aws_subnet.private : zone => subnet.cidr_block } == {
      eu-central-1a = "10.0.0.0/26"
      eu-central-1b = "10.0.0.64/26"
      eu-central-1c = "10.0.0.128/26"
    } && alltrue([for subnet in aws_subnet.private : subnet.map_public_ip_on_launch != true])
    error_message = "There must be a private subnet in each of the first three zones."
  }

  assert {
    condition     = { for name, endpoint in aws_vpc_endpoint.gateway : name => [endpoint.vpc_endpoint_type, endpoint.service_name] } == { dynamodb = ["Gateway", "com.amazonaws.eu-central-1.dynamodb"], s3 = ["Gateway", "com.amazonaws.eu-central-1.s3"] }
    error_message = "The only endpoints must be the two gateways."
  }

  assert {
    condition = jsondecode(aws_vpc_endpoint.gateway["s3"].policy).Statement == [
      for statement in [
        ["api", ["s3:GetObject"], ["arn:aws:s3:::config/deployed/*"]],
        ["load", ["s3:GetObject"], ["arn:aws:s3:::config/deployed/*", "arn:aws:s3:::config/kept/*"]],
        ["load", ["s3:ListBucketVersions"], ["arn:aws:s3:::landing"]],
        ["load", ["s3:ListBucket"], ["arn:aws:s3:::staging"]],
        ["load", ["s3:GetObject"], ["arn:aws:s3:::staging/table=*", "arn:aws:s3:::staging/state=failed_tests/table=*/rejects.jsonl"]],
        ["load", ["s3:PutObject"], ["arn:aws:s3:::staging/state=refused/table=*"]],
        ] : {
        Effect    = "Allow"
        Principal = "*"
        Action    = statement[1]
        Resource  = statement[2]
        Condition = { ArnEquals = { "aws:PrincipalArn" = "arn:aws:iam::123456789012:role/${statement[0]}" } }
      }
    ]
    error_message = "The policy of the S3 gateway must equal the S3 permissions of api and load."
  }

  assert {
    condition = [for statement in jsondecode(aws_vpc_endpoint.gateway["dynamodb"].policy).Statement : [statement.Condition.ArnEquals["aws:PrincipalArn"], statement.Action]] == [
      ["arn:aws:iam::123456789012:role/api", ["dynamodb:Query"]],
      ["arn:aws:iam::123456789012:role/load", ["dynamodb:UpdateItem"]],
    ]
    error_message = "The policy of the DynamoDB gateway must equal the DynamoDB permissions of api and load."
  }

  assert {
    condition     = [for rule in aws_vpc_security_group_ingress_rule.database : [rule.security_group_id, rule.referenced_security_group_id, rule.from_port, rule.to_port, rule.ip_protocol]] == [["sg-database", "sg-function", 5432, 5432, "tcp"]]
    error_message = "Only the functions must be allowed to connect to the database."
  }

  assert {
    condition = toset([
      for rule in concat(aws_vpc_security_group_egress_rule.database, values(aws_vpc_security_group_egress_rule.gateway)) :
      join(" ", [rule.security_group_id, coalesce(rule.referenced_security_group_id, rule.prefix_list_id), rule.ip_protocol, rule.from_port, rule.to_port])
    ]) == toset(["sg-function sg-database tcp 5432 5432", "sg-function pl-dynamodb tcp 443 443", "sg-function pl-s3 tcp 443 443"])
    error_message = "The functions must be allowed to connect only to the database and the two gateways."
  }

  assert {
    condition = alltrue([
      for rule in concat(aws_vpc_security_group_ingress_rule.database, aws_vpc_security_group_egress_rule.database, values(aws_vpc_security_group_egress_rule.gateway)) :
      rule.cidr_ipv4 == null && rule.cidr_ipv6 == null
    ])
    error_message = "Security group rules must refer to groups or gateways, not to addresses."
  }

  assert {
    condition     = length(aws_default_security_group.this[0].ingress) == 0 && length(aws_default_security_group.this[0].egress) == 0
    error_message = "The default security group must have no rules."
  }

  assert {
    condition     = alltrue([for each in concat([aws_security_group.function[0]], values(aws_subnet.private)) : each.timeouts.delete == "2h"])
    error_message = "A destroy must wait two hours for Lambda to delete its network interfaces."
  }

  # Functions

  assert {
    condition = { for name, function in aws_lambda_function.this : name => function.vpc_config[0] if length(function.vpc_config) > 0 } == {
      for name in ["api", "load"] : name => merge(aws_lambda_function.this[name].vpc_config[0], {
        security_group_ids = toset(["sg-function"])
        subnet_ids         = toset([for subnet in aws_subnet.private : subnet.id])
      })
    }
    error_message = "Only api and load must run in the network, in the private subnets."
  }

  assert {
    condition = { for name in ["api", "load", "migrate"] : name => { for key, value in aws_lambda_function.this[name].environment[0].variables : key => value if can(regex("^(DATABASE|LOADER|READER)_", key)) } } == {
      api     = { DATABASE_HOST = "mock.cluster-0.eu-central-1.rds.amazonaws.com", DATABASE_PORT = "5432", DATABASE_NAME = "pipeline", DATABASE_USER = "reader" }
      load    = { DATABASE_HOST = "mock.cluster-0.eu-central-1.rds.amazonaws.com", DATABASE_PORT = "5432", DATABASE_NAME = "pipeline", DATABASE_USER = "loader" }
      migrate = { DATABASE_CLUSTER_ARN = "arn:aws:rds:eu-central-1:123456789012:cluster:mock", DATABASE_SECRET_ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:rds!cluster-mock", DATABASE_NAME = "pipeline", LOADER_USER = "loader", READER_USER = "reader" }
    }
    error_message = "Each function must have its own database login in its environment."
  }

  # Permissions

  assert {
    condition = {
      for action in distinct(flatten([for policy in aws_iam_role_policy.function : [for statement in jsondecode(policy.policy).Statement : statement.Action]])) :
      action => [for name, policy in aws_iam_role_policy.function : name if contains(flatten([for statement in jsondecode(policy.policy).Statement : statement.Action]), action)]
      } == {
      "dynamodb:DeleteItem"            = ["trigger"]
      "dynamodb:DescribeTable"         = ["watch"]
      "dynamodb:GetItem"               = ["alert", "trigger", "watch"]
      "dynamodb:PutItem"               = ["alert", "trigger", "watch"]
      "dynamodb:Query"                 = ["api", "trigger", "watch"]
      "dynamodb:UpdateItem"            = ["alert", "load", "test", "transform", "trigger", "watch"]
      "ec2:AssignPrivateIpAddresses"   = ["api", "load"]
      "ec2:CreateNetworkInterface"     = ["api", "load"]
      "ec2:DeleteNetworkInterface"     = ["api", "load"]
      "ec2:DescribeNetworkInterfaces"  = ["api", "load"]
      "ec2:DescribeSubnets"            = ["api", "load"]
      "ec2:UnassignPrivateIpAddresses" = ["api", "load"]
      "events:PutEvents"               = ["trigger", "watch"]
      "logs:CreateLogStream"           = local.function_names
      "logs:PutLogEvents"              = local.function_names
      "rds-data:BeginTransaction"      = ["migrate"]
      "rds-data:CommitTransaction"     = ["migrate"]
      "rds-data:ExecuteStatement"      = ["migrate"]
      "rds-data:RollbackTransaction"   = ["migrate"]
      "rds-db:connect"                 = ["api", "load"]
      "s3:DeleteObject"                = ["test", "transform"]
      "s3:GetObject"                   = local.function_names
      "s3:GetObjectVersion"            = ["test", "transform", "trigger"]
      "s3:ListBucket"                  = ["load", "migrate", "test", "transform"]
      "s3:ListBucketVersions"          = ["load", "watch"]
      "s3:PutObject"                   = ["load", "migrate", "test", "transform"]
      "secretsmanager:GetSecretValue"  = ["migrate"]
      "sns:Publish"                    = ["alert"]
      "states:DescribeExecution"       = ["watch"]
      "states:StartExecution"          = ["trigger", "watch"]
    }
    error_message = "The functions' roles must allow exactly these actions."
  }

  assert {
    condition = {
      for name in ["api", "load", "migrate"] : name => flatten([
        for statement in jsondecode(aws_iam_role_policy.function[name].policy).Statement : statement.Resource
        if anytrue([for action in statement.Action : startswith(action, "rds") || startswith(action, "secretsmanager:")])
      ])
      } == {
      api     = ["arn:aws:rds-db:eu-central-1:123456789012:dbuser:cluster-MOCK/reader"]
      load    = ["arn:aws:rds-db:eu-central-1:123456789012:dbuser:cluster-MOCK/loader"]
      migrate = ["arn:aws:secretsmanager:eu-central-1:123456789012:secret:rds!cluster-mock", "arn:aws:rds:eu-central-1:123456789012:cluster:mock"]
    }
    error_message = "Each function must log in to the database with its own role."
  }

  assert {
    condition = toset(flatten([
      for policy in aws_iam_role_policy.function : [
        for statement in jsondecode(policy.policy).Statement : [for action in statement.Action : action if contains(statement.Resource, "*")] if statement.Effect == "Allow"
      ]
    ])) == toset(["ec2:AssignPrivateIpAddresses", "ec2:CreateNetworkInterface", "ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets", "ec2:UnassignPrivateIpAddresses"])
    error_message = "Only actions on network interfaces must have the resource *."
  }

  # Outputs

  assert {
    condition     = [output.database_host, output.database_port, output.database_name] == ["mock.cluster-0.eu-central-1.rds.amazonaws.com", 5432, "pipeline"]
    error_message = "The outputs must contain the address of the created database."
  }

  assert {
    condition     = output.database_cluster_arn == aws_rds_cluster.this[0].arn && endswith(output.database_secret_arn, "rds!cluster-mock") && output.database_routes_needed == null
    error_message = "The outputs must contain the cluster and the administrator's secret, and no routes."
  }
}

run "created_with_ca_bundle" {
  variables {
    database           = null
    database_ca_bundle = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    kms_key_arn        = "arn:aws:kms:eu-central-1:123456789012:key/given"
  }

  assert {
    condition = { for name, function in aws_lambda_function.this : name => function.environment[0].variables.DATABASE_CA_BUNDLE if can(function.environment[0].variables.DATABASE_CA_BUNDLE) } == {
      for name in ["api", "load"] : name => "s3://tm-pipeline-config-123456789012-eu-central-1/authorities/${sha256(var.database_ca_bundle)}.pem"
    }
    error_message = "var.database_ca_bundle must reach exactly the functions that connect to the created database."
  }

  assert {
    condition     = [for key, object in aws_s3_object.config : [object.bucket, object.key, object.content] if !startswith(key, "deployed/")] == [["tm-pipeline-config-123456789012-eu-central-1", "authorities/${sha256(var.database_ca_bundle)}.pem", var.database_ca_bundle]]
    error_message = "The object with database_ca_bundle must have the key that the functions read."
  }

  assert {
    condition = {
      for name, policy in aws_iam_role_policy.function : name => [
        for statement in jsondecode(policy.policy).Statement : statement if strcontains(jsonencode(statement), "arn:aws:s3:::config/authorities")
      ] if strcontains(policy.policy, "arn:aws:s3:::config/authorities")
      } == {
      for name in ["api", "load"] : name => [
        { Effect = "Allow", Action = ["s3:GetObject"], Resource = ["arn:aws:s3:::config/authorities/${sha256(var.database_ca_bundle)}.pem"] }
      ]
    }
    error_message = "Only api and load must be allowed to read database_ca_bundle, and only to read it."
  }

  assert {
    condition = [
      for statement in jsondecode(aws_vpc_endpoint.gateway["s3"].policy).Statement : [statement.Action, statement.Condition.ArnEquals["aws:PrincipalArn"]] if strcontains(jsonencode(statement.Resource), "arn:aws:s3:::config/authorities")
    ] == [for name in ["api", "load"] : [["s3:GetObject"], "arn:aws:iam::123456789012:role/${name}"]]
    error_message = "The S3 gateway must allow api and load to read database_ca_bundle."
  }

  assert {
    # The object is encrypted with the KMS key.
    condition     = alltrue([for name in ["api", "load"] : strcontains(aws_iam_role_policy.function[name].policy, "kms:Decrypt")])
    error_message = "The functions must be allowed to decrypt database_ca_bundle."
  }

  assert {
    condition     = { for name, bucket in aws_s3_bucket.this : name => bucket.force_destroy } == { config = true, landing = false, staging = false }
    error_message = "Destroying the stack must delete the contents of the config bucket only."
  }

  assert {
    condition = { for configuration in aws_s3_bucket_server_side_encryption_configuration.this : configuration.bucket => [
      for rule in configuration.rule : [rule.bucket_key_enabled, [for default in rule.apply_server_side_encryption_by_default : [default.sse_algorithm, default.kms_master_key_id]]]
    ] } == { for bucket in aws_s3_bucket.this : bucket.bucket => [[true, [["aws:kms", var.kms_key_arn]]]] }
    error_message = "var.kms_key_arn does not reach every bucket."
  }

  assert {
    condition = { for block in aws_s3_bucket_public_access_block.this : block.bucket =>
      alltrue([block.block_public_acls, block.block_public_policy, block.ignore_public_acls, block.restrict_public_buckets])
    } == { for bucket in aws_s3_bucket.this : bucket.id => true }
    error_message = "Every bucket must block public access."
  }
}

run "created_with_settings" {
  variables {
    database           = null
    aurora             = { max_capacity = 1.5, backup_days = 35, final_snapshot = false }
    log_retention_days = 90
    kms_key_arn        = "arn:aws:kms:eu-central-1:123456789012:key/given"
  }

  assert {
    condition     = aws_cloudwatch_log_group.database[0].retention_in_days == 90
    error_message = "var.log_retention_days does not reach the log of PostgreSQL."
  }

  assert {
    condition     = distinct([aws_rds_cluster.this[0].kms_key_id, aws_rds_cluster.this[0].master_user_secret_kms_key_id, aws_cloudwatch_log_group.database[0].kms_key_id]) == tolist([var.kms_key_arn])
    error_message = "var.kms_key_arn does not reach the database, its secret or its log."
  }

  assert {
    condition     = one(aws_rds_cluster.this[0].serverlessv2_scaling_configuration).max_capacity == 1.5 && aws_rds_cluster.this[0].backup_retention_period == 35
    error_message = "max_capacity or backup_days of var.aurora does not reach the cluster."
  }

  assert {
    condition     = !aws_rds_cluster.this[0].deletion_protection && aws_rds_cluster.this[0].skip_final_snapshot
    error_message = "final_snapshot of var.aurora or var.deletion_protection does not reach the cluster."
  }
}

run "given_with_iam" {
  variables {
    database = {
      host        = "db.example.com"
      port        = 6432
      name        = "warehouse"
      auth        = "iam"
      resource_id = "db-GIVEN"
      users       = { migrate = "owner", load = "writer", api = "looker" }
    }
  }

  assert {
    condition     = length(concat(aws_vpc.this, aws_rds_cluster.this, aws_rds_cluster_instance.this, aws_cloudwatch_log_group.database)) == 0
    error_message = "With var.database no database must be created."
  }

  assert {
    condition     = alltrue([for function in aws_lambda_function.this : length(function.vpc_config) == 0])
    error_message = "Without database.vpc no function must be in a network."
  }

  assert {
    condition = { for name in ["api", "load", "migrate"] : name => { for key, value in aws_lambda_function.this[name].environment[0].variables : key => value if can(regex("^(DATABASE|LOADER|READER)_", key)) } } == {
      api     = { DATABASE_HOST = "db.example.com", DATABASE_PORT = "6432", DATABASE_NAME = "warehouse", DATABASE_USER = "looker" }
      load    = { DATABASE_HOST = "db.example.com", DATABASE_PORT = "6432", DATABASE_NAME = "warehouse", DATABASE_USER = "writer" }
      migrate = { DATABASE_HOST = "db.example.com", DATABASE_PORT = "6432", DATABASE_NAME = "warehouse", DATABASE_USER = "owner", LOADER_USER = "writer", READER_USER = "looker" }
    }
    error_message = "Each function must have its own database login in its environment."
  }

  assert {
    condition = {
      for name, policy in aws_iam_role_policy.function : name => flatten([
        for statement in jsondecode(policy.policy).Statement : [for action in statement.Action : "${action} ${join(" ", statement.Resource)}"]
        if anytrue([for action in statement.Action : can(regex("^(ec2|rds|rds-data|rds-db|secretsmanager):", action))])
      ]) if contains(["api", "load", "migrate"], name)
      } == {
      api     = ["rds-db:connect arn:aws:rds-db:eu-central-1:123456789012:dbuser:db-GIVEN/looker"]
      load    = ["rds-db:connect arn:aws:rds-db:eu-central-1:123456789012:dbuser:db-GIVEN/writer"]
      migrate = ["rds-db:connect arn:aws:rds-db:eu-central-1:123456789012:dbuser:db-GIVEN/owner"]
    }
    error_message = "Each function must log in to var.database with its own user."
  }

  assert {
    condition     = [output.database_host, output.database_port, output.database_name] == ["db.example.com", 6432, "warehouse"] && output.database_cluster_arn == null && output.database_secret_arn == null && output.database_routes_needed == null
    error_message = "The outputs must contain the given database."
  }
}

run "given_with_iam_in_a_network" {
  variables {
    database = merge(var.with_iam, {
      host = "db.example.com"
      vpc  = { subnet_ids = ["subnet-1", "subnet-2"], security_group_ids = ["sg-1"] }
    })
  }

  assert {
    condition = {
      for name, function in aws_lambda_function.this : name => [function.vpc_config[0].subnet_ids, function.vpc_config[0].security_group_ids] if length(function.vpc_config) > 0
    } == { for name in ["api", "load", "migrate"] : name => [toset(["subnet-1", "subnet-2"]), toset(["sg-1"])] }
    error_message = "The functions must be in the network of var.database."
  }

  assert {
    condition = [
      for name, policy in aws_iam_role_policy.function : name if contains(flatten([for statement in jsondecode(policy.policy).Statement : statement.Action]), "ec2:CreateNetworkInterface")
    ] == ["api", "load", "migrate"]
    error_message = "Exactly the functions in the network must be allowed to create network interfaces."
  }

  assert {
    condition     = strcontains(output.database_routes_needed, "subnet-1, subnet-2") && strcontains(output.database_routes_needed, "db.example.com:5432 and S3, and load and api must reach DynamoDB (") && !strcontains(output.database_routes_needed, "Secrets Manager")
    error_message = "database_routes_needed must list the required routes."
  }
}

run "given_with_secrets_in_a_network" {
  variables {
    database = merge(var.database, var.in_a_network)
  }

  assert {
    condition     = [for name, function in aws_lambda_function.this : name if length(function.vpc_config) > 0] == ["api", "load", "migrate"]
    error_message = "Exactly the functions that connect to the database must be in its network."
  }

  assert {
    condition = { for name in ["api", "load", "migrate"] : name => { for key, value in aws_lambda_function.this[name].environment[0].variables : key => value if can(regex("^(DATABASE|LOADER|READER)_", key)) } } == {
      api     = { DATABASE_HOST = "db.example.com", DATABASE_PORT = "5432", DATABASE_NAME = "pipeline", DATABASE_SECRET_ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:api" }
      load    = { DATABASE_HOST = "db.example.com", DATABASE_PORT = "5432", DATABASE_NAME = "pipeline", DATABASE_SECRET_ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:load" }
      migrate = { DATABASE_HOST = "db.example.com", DATABASE_PORT = "5432", DATABASE_NAME = "pipeline", DATABASE_SECRET_ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:migrate", LOADER_SECRET_ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:load", READER_SECRET_ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:api" }
    }
    error_message = "Each function must have its own database login in its environment."
  }

  assert {
    condition     = strcontains(output.database_routes_needed, "Secrets Manager")
    error_message = "database_routes_needed must list the route to Secrets Manager."
  }
}

run "given_with_ca_bundle_in_a_network" {
  variables {
    database_ca_bundle = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    database           = merge(var.with_iam, var.in_a_network, { host = "own.abc123.mars-north-1.rds.amazonaws.com" })
  }

  assert {
    condition     = [for name, policy in aws_iam_role_policy.function : name if strcontains(policy.policy, "arn:aws:s3:::config/authorities/")] == ["api", "load", "migrate"]
    error_message = "Exactly the functions that connect to the database must be allowed to read database_ca_bundle."
  }
}

# Trust in certificates. These runs are last because Terraform skips the runs after a failed plan.

run "created_in_unknown_region" {
  command = plan

  override_data {
    target = data.aws_region.current
    values = { name = "mars-north-1", region = "mars-north-1" }
  }

  variables {
    database = null
  }

  expect_failures = [aws_lambda_invocation.migrate]
}

run "created_in_unknown_region_with_ca_bundle" {
  command = plan

  override_data {
    target = data.aws_region.current
    values = { name = "mars-north-1", region = "mars-north-1" }
  }

  variables {
    database           = null
    database_ca_bundle = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
  }
}

run "given_in_unknown_region" {
  command = plan

  variables {
    database = merge(var.database, { host = "own.abc123.mars-north-1.rds.amazonaws.com" })
  }

  expect_failures = [aws_lambda_invocation.migrate]
}

run "given_in_known_region" {
  command = plan

  variables {
    database = merge(var.database, { host = "own.abc123.us-gov-west-1.rds.amazonaws.com" })
  }

  assert {
    condition     = keys(aws_s3_object.config) == [local.contracts_key]
    error_message = "There must be no object for database_ca_bundle by default."
  }
}

run "given_proxy_with_iam" {
  command = plan

  variables {
    database = merge(var.with_iam, { host = "own.proxy-abc123.eu-central-1.rds.amazonaws.com" })
  }

  expect_failures = [aws_lambda_invocation.migrate]
}

run "given_proxy_with_ca_bundle" {
  command = plan

  variables {
    database_ca_bundle = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    database           = merge(var.with_iam, { host = "own.proxy-abc123.eu-central-1.rds.amazonaws.com" })
  }

  assert {
    condition     = [for name, function in aws_lambda_function.this : name if can(function.environment[0].variables.DATABASE_CA_BUNDLE)] == ["api", "load", "migrate"]
    error_message = "database_ca_bundle must reach exactly the functions that connect to the given database."
  }
}
