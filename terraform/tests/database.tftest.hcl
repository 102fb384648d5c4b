# The database that the module creates, and the one that it is given: what runs where, as whom, with which rights.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  # What the databases with IAM have in common, but for their hosts.
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
    error_message = "The database does not pause, or grows to another size than said."
  }

  assert {
    condition = [for parameter in aws_rds_cluster_parameter_group.this[0].parameter : "${parameter.name}=${parameter.value}"] == ["rds.force_ssl=1"] && (
      aws_rds_cluster.this[0].db_cluster_parameter_group_name == aws_rds_cluster_parameter_group.this[0].name
    )
    error_message = "The database answers without TLS."
  }

  assert {
    condition     = aws_rds_cluster_parameter_group.this[0].family == "aurora-postgresql${aws_rds_cluster.this[0].engine_version}"
    error_message = "The parameters are another major version's."
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
    error_message = "The database is less safe than it is said to be, or nobody gets in."
  }

  assert {
    condition     = can(regex("^tm-pipeline-database-of-[0-9]{14}$", aws_rds_cluster.this[0].final_snapshot_identifier))
    error_message = "A second stack of this name would fail to be destroyed: its final snapshot has the name of the first one's."
  }

  assert {
    condition     = aws_rds_cluster_instance.this[0].instance_class == "db.serverless" && !aws_rds_cluster_instance.this[0].publicly_accessible && aws_rds_cluster_instance.this[0].ca_cert_identifier == "rds-ca-rsa2048-g1"
    error_message = "The instance is billed by the hour, is public, or shows a certificate that is not in the bundle."
  }

  assert {
    condition     = aws_cloudwatch_log_group.database[0].name == "/aws/rds/cluster/${aws_rds_cluster.this[0].cluster_identifier}/postgresql" && aws_cloudwatch_log_group.database[0].retention_in_days == 30
    error_message = "PostgreSQL's log goes to another group than the one that forgets."
  }

  # Network

  assert {
    condition = { for zone, subnet in aws_subnet.private : zone => subnet.cidr_block } == {
      eu-central-1a = "10.0.0.0/26"
      eu-central-1b = "10.0.0.64/26"
      eu-central-1c = "10.0.0.128/26"
    } && alltrue([for subnet in aws_subnet.private : subnet.map_public_ip_on_launch != true])
    error_message = "The subnets are not private ones in the first three zones."
  }

  assert {
    condition     = { for name, endpoint in aws_vpc_endpoint.gateway : name => [endpoint.vpc_endpoint_type, endpoint.service_name] } == { dynamodb = ["Gateway", "com.amazonaws.eu-central-1.dynamodb"], s3 = ["Gateway", "com.amazonaws.eu-central-1.s3"] }
    error_message = "The ways out of the network are not the two gateways."
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
    error_message = "Through S3's gateway goes something else than what the roles of api and load allow."
  }

  assert {
    condition = [for statement in jsondecode(aws_vpc_endpoint.gateway["dynamodb"].policy).Statement : [statement.Condition.ArnEquals["aws:PrincipalArn"], statement.Action]] == [
      ["arn:aws:iam::123456789012:role/api", ["dynamodb:Query"]],
      ["arn:aws:iam::123456789012:role/load", ["dynamodb:UpdateItem"]],
    ]
    error_message = "Through DynamoDB's gateway goes something else than what the roles of api and load allow."
  }

  assert {
    condition     = [for rule in aws_vpc_security_group_ingress_rule.database : [rule.security_group_id, rule.referenced_security_group_id, rule.from_port, rule.to_port, rule.ip_protocol]] == [["sg-database", "sg-function", 5432, 5432, "tcp"]]
    error_message = "Others than the functions get to the database."
  }

  assert {
    condition = toset([
      for rule in concat(aws_vpc_security_group_egress_rule.database, values(aws_vpc_security_group_egress_rule.gateway)) :
      join(" ", [rule.security_group_id, coalesce(rule.referenced_security_group_id, rule.prefix_list_id), rule.ip_protocol, rule.from_port, rule.to_port])
    ]) == toset(["sg-function sg-database tcp 5432 5432", "sg-function pl-dynamodb tcp 443 443", "sg-function pl-s3 tcp 443 443"])
    error_message = "The functions reach something else than the database and the two gateways, or not these."
  }

  assert {
    condition = alltrue([
      for rule in concat(aws_vpc_security_group_ingress_rule.database, aws_vpc_security_group_egress_rule.database, values(aws_vpc_security_group_egress_rule.gateway)) :
      rule.cidr_ipv4 == null && rule.cidr_ipv6 == null
    ])
    error_message = "A rule lets addresses through, not a group or a gateway."
  }

  assert {
    condition     = length(aws_default_security_group.this[0].ingress) == 0 && length(aws_default_security_group.this[0].egress) == 0
    error_message = "The network's default group lets something through."
  }

  assert {
    condition     = alltrue([for each in concat([aws_security_group.function[0]], values(aws_subnet.private)) : each.timeouts.delete == "2h"])
    error_message = "A destroy gives up before Lambda has given its network interfaces back."
  }

  # Functions

  assert {
    condition = { for name, function in aws_lambda_function.this : name => function.vpc_config[0] if length(function.vpc_config) > 0 } == {
      for name in ["api", "load"] : name => merge(aws_lambda_function.this[name].vpc_config[0], {
        security_group_ids = toset(["sg-function"])
        subnet_ids         = toset([for subnet in aws_subnet.private : subnet.id])
      })
    }
    error_message = "Other functions than api and load are in the network, or somewhere else in it."
  }

  assert {
    condition = { for name in ["api", "load", "migrate"] : name => { for key, value in aws_lambda_function.this[name].environment[0].variables : key => value if can(regex("^(DATABASE|LOADER|READER)_", key)) } } == {
      api     = { DATABASE_HOST = "mock.cluster-0.eu-central-1.rds.amazonaws.com", DATABASE_PORT = "5432", DATABASE_NAME = "pipeline", DATABASE_USER = "reader" }
      load    = { DATABASE_HOST = "mock.cluster-0.eu-central-1.rds.amazonaws.com", DATABASE_PORT = "5432", DATABASE_NAME = "pipeline", DATABASE_USER = "loader" }
      migrate = { DATABASE_CLUSTER_ARN = "arn:aws:rds:eu-central-1:123456789012:cluster:mock", DATABASE_SECRET_ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:rds!cluster-mock", DATABASE_NAME = "pipeline", LOADER_USER = "loader", READER_USER = "reader" }
    }
    error_message = "A function is told another way to the database than its own."
  }

  # Permissions

  assert {
    condition = {
      for action in distinct(flatten([for policy in aws_iam_role_policy.function : [for statement in jsondecode(policy.policy).Statement : statement.Action]])) :
      action => [for name, policy in aws_iam_role_policy.function : name if contains(flatten([for statement in jsondecode(policy.policy).Statement : statement.Action]), action)]
      } == {
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
      "s3:GetObjectVersion"            = ["test", "transform"]
      "s3:ListBucket"                  = ["load", "migrate", "test", "transform"]
      "s3:ListBucketVersions"          = ["load", "watch"]
      "s3:PutObject"                   = ["load", "migrate", "test", "transform"]
      "secretsmanager:GetSecretValue"  = ["migrate"]
      "sns:Publish"                    = ["alert"]
      "states:DescribeExecution"       = ["watch"]
      "states:StartExecution"          = ["trigger", "watch"]
    }
    error_message = "The functions' roles allow other actions than this table says."
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
    error_message = "A function gets into the database as somebody else than its own role."
  }

  assert {
    condition = toset(flatten([
      for policy in aws_iam_role_policy.function : [
        for statement in jsondecode(policy.policy).Statement : [for action in statement.Action : action if contains(statement.Resource, "*")] if statement.Effect == "Allow"
      ]
    ])) == toset(["ec2:AssignPrivateIpAddresses", "ec2:CreateNetworkInterface", "ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets", "ec2:UnassignPrivateIpAddresses"])
    error_message = "Other actions than those on network interfaces name no resource."
  }

  # Outputs

  assert {
    condition     = [output.database_host, output.database_port, output.database_name] == ["mock.cluster-0.eu-central-1.rds.amazonaws.com", 5432, "pipeline"]
    error_message = "The outputs do not say where the database is."
  }

  assert {
    condition     = output.database_cluster_arn == aws_rds_cluster.this[0].arn && endswith(output.database_secret_arn, "rds!cluster-mock") && output.database_routes_needed == null
    error_message = "The outputs do not say how a person gets in."
  }
}

run "created_with_authorities" {
  variables {
    database           = null
    database_ca_bundle = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    kms_key_arn        = "arn:aws:kms:eu-central-1:123456789012:key/given"
  }

  assert {
    condition = { for name, function in aws_lambda_function.this : name => function.environment[0].variables.DATABASE_CA_BUNDLE if can(function.environment[0].variables.DATABASE_CA_BUNDLE) } == {
      for name in ["api", "load"] : name => "s3://tm-pipeline-config-123456789012-eu-central-1/authorities/${sha256(var.database_ca_bundle)}.pem"
    }
    error_message = "var.database_ca_bundle does not reach the functions that connect to the created database, or it reaches others."
  }

  assert {
    condition     = [for key, object in aws_s3_object.config : [object.bucket, object.key, object.content] if !startswith(key, "deployed/")] == [["tm-pipeline-config-123456789012-eu-central-1", "authorities/${sha256(var.database_ca_bundle)}.pem", var.database_ca_bundle]]
    error_message = "database_ca_bundle is not in the object that the functions are told of."
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
    error_message = "Others than api and load may read database_ca_bundle, or they may do more with its bucket."
  }

  assert {
    condition = [
      for statement in jsondecode(aws_vpc_endpoint.gateway["s3"].policy).Statement : [statement.Action, statement.Condition.ArnEquals["aws:PrincipalArn"]] if strcontains(jsonencode(statement.Resource), "arn:aws:s3:::config/authorities")
    ] == [for name in ["api", "load"] : [["s3:GetObject"], "arn:aws:iam::123456789012:role/${name}"]]
    error_message = "S3's gateway does not let api and load read database_ca_bundle."
  }

  assert {
    # The object is encrypted with it.
    condition     = alltrue([for name in ["api", "load"] : strcontains(aws_iam_role_policy.function[name].policy, "kms:Decrypt")])
    error_message = "A function cannot decrypt database_ca_bundle."
  }

  assert {
    condition     = { for name, bucket in aws_s3_bucket.this : name => bucket.force_destroy } == { config = true, landing = false, staging = false }
    error_message = "What Terraform can make again is kept when the stack is destroyed, or files are not."
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
    error_message = "A bucket may become public."
  }
}

run "created_as_told" {
  variables {
    database           = null
    aurora             = { max_capacity = 1.5, backup_days = 35, final_snapshot = false }
    log_retention_days = 90
    kms_key_arn        = "arn:aws:kms:eu-central-1:123456789012:key/given"
  }

  assert {
    condition     = aws_cloudwatch_log_group.database[0].retention_in_days == 90
    error_message = "var.log_retention_days does not reach PostgreSQL's log."
  }

  assert {
    condition     = distinct([aws_rds_cluster.this[0].kms_key_id, aws_rds_cluster.this[0].master_user_secret_kms_key_id, aws_cloudwatch_log_group.database[0].kms_key_id]) == tolist([var.kms_key_arn])
    error_message = "var.kms_key_arn does not reach the database, its secret or its log."
  }

  assert {
    condition     = one(aws_rds_cluster.this[0].serverlessv2_scaling_configuration).max_capacity == 1.5 && aws_rds_cluster.this[0].backup_retention_period == 35
    error_message = "var.aurora does not reach the cluster: max_capacity or backup_days."
  }

  assert {
    condition     = !aws_rds_cluster.this[0].deletion_protection && aws_rds_cluster.this[0].skip_final_snapshot
    error_message = "A database that may go by var.aurora and var.deletion_protection cannot be destroyed."
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
    error_message = "var.database is given, and a database is created all the same."
  }

  assert {
    condition     = alltrue([for function in aws_lambda_function.this : length(function.vpc_config) == 0])
    error_message = "Nobody named a network, and a function is in one."
  }

  assert {
    condition = { for name in ["api", "load", "migrate"] : name => { for key, value in aws_lambda_function.this[name].environment[0].variables : key => value if can(regex("^(DATABASE|LOADER|READER)_", key)) } } == {
      api     = { DATABASE_HOST = "db.example.com", DATABASE_PORT = "6432", DATABASE_NAME = "warehouse", DATABASE_USER = "looker" }
      load    = { DATABASE_HOST = "db.example.com", DATABASE_PORT = "6432", DATABASE_NAME = "warehouse", DATABASE_USER = "writer" }
      migrate = { DATABASE_HOST = "db.example.com", DATABASE_PORT = "6432", DATABASE_NAME = "warehouse", DATABASE_USER = "owner", LOADER_USER = "writer", READER_USER = "looker" }
    }
    error_message = "A function is told another way to the database than its own."
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
    error_message = "A function gets into var.database otherwise than as its own user."
  }

  assert {
    condition     = [output.database_host, output.database_port, output.database_name] == ["db.example.com", 6432, "warehouse"] && output.database_cluster_arn == null && output.database_secret_arn == null && output.database_routes_needed == null
    error_message = "The outputs do not say what was given."
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
    error_message = "The functions are not in the network that var.database names."
  }

  assert {
    condition = [
      for name, policy in aws_iam_role_policy.function : name if contains(flatten([for statement in jsondecode(policy.policy).Statement : statement.Action]), "ec2:CreateNetworkInterface")
    ] == ["api", "load", "migrate"]
    error_message = "Not exactly the functions in the network may have interfaces there."
  }

  assert {
    condition     = strcontains(output.database_routes_needed, "subnet-1, subnet-2") && strcontains(output.database_routes_needed, "db.example.com:5432 and S3, and load and api DynamoDB (") && !strcontains(output.database_routes_needed, "Secrets Manager")
    error_message = "The output does not say what must be reached from the subnets."
  }
}

run "given_with_secrets_in_a_network" {
  variables {
    database = merge(var.database, var.in_a_network)
  }

  assert {
    condition     = [for name, function in aws_lambda_function.this : name if length(function.vpc_config) > 0] == ["api", "load", "migrate"]
    error_message = "Not exactly the functions that talk to the database are in its network."
  }

  assert {
    condition = { for name in ["api", "load", "migrate"] : name => { for key, value in aws_lambda_function.this[name].environment[0].variables : key => value if can(regex("^(DATABASE|LOADER|READER)_", key)) } } == {
      api     = { DATABASE_HOST = "db.example.com", DATABASE_PORT = "5432", DATABASE_NAME = "pipeline", DATABASE_SECRET_ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:api" }
      load    = { DATABASE_HOST = "db.example.com", DATABASE_PORT = "5432", DATABASE_NAME = "pipeline", DATABASE_SECRET_ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:load" }
      migrate = { DATABASE_HOST = "db.example.com", DATABASE_PORT = "5432", DATABASE_NAME = "pipeline", DATABASE_SECRET_ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:migrate", LOADER_SECRET_ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:load", READER_SECRET_ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:api" }
    }
    error_message = "A function is told another way to the database than its own."
  }

  assert {
    condition     = strcontains(output.database_routes_needed, "Secrets Manager")
    error_message = "The output does not say that secrets must be reached from the subnets."
  }
}

run "given_with_authorities_in_a_network" {
  variables {
    database_ca_bundle = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    database           = merge(var.with_iam, var.in_a_network, { host = "own.abc123.mars-north-1.rds.amazonaws.com" })
  }

  assert {
    condition     = [for name, policy in aws_iam_role_policy.function : name if strcontains(policy.policy, "arn:aws:s3:::config/authorities/")] == ["api", "load", "migrate"]
    error_message = "Not exactly the functions that connect to the database may read database_ca_bundle."
  }
}

# Whose certificates the functions trust. These come last: one that cannot be planned ends the file.

run "created_where_they_know_no_authority" {
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

run "created_there_with_authorities" {
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

run "given_where_they_know_no_authority" {
  command = plan

  variables {
    database = merge(var.database, { host = "own.abc123.mars-north-1.rds.amazonaws.com" })
  }

  expect_failures = [aws_lambda_invocation.migrate]
}

run "given_where_they_know_the_authority" {
  command = plan

  variables {
    database = merge(var.database, { host = "own.abc123.us-gov-west-1.rds.amazonaws.com" })
  }

  assert {
    condition     = keys(aws_s3_object.config) == [local.contracts_key]
    error_message = "There is an object for database_ca_bundle although nobody gave one."
  }
}

run "given_as_a_proxy_that_iam_would_not_trust" {
  command = plan

  variables {
    database = merge(var.with_iam, { host = "own.proxy-abc123.eu-central-1.rds.amazonaws.com" })
  }

  expect_failures = [aws_lambda_invocation.migrate]
}

run "given_as_a_proxy_with_authorities" {
  command = plan

  variables {
    database_ca_bundle = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    database           = merge(var.with_iam, { host = "own.proxy-abc123.eu-central-1.rds.amazonaws.com" })
  }

  assert {
    condition     = [for name, function in aws_lambda_function.this : name if can(function.environment[0].variables.DATABASE_CA_BUNDLE)] == ["api", "load", "migrate"]
    error_message = "database_ca_bundle does not reach the functions that connect to the given database, or it reaches others."
  }
}
