# The database: the one that the module creates, or the one that var.database gives; and what makes its tables.
locals {
  # Of this major version every minor one that Aurora has can pause. Each major version has parameters of its own.
  aurora_version = "17"
  aurora_family  = "aurora-postgresql${local.aurora_version}"
  aurora_id      = "${var.name}-database"

  # The created one in the words of var.database. load and api log in as roles that migrate makes; migrate itself is
  # the administrator, whose secret RDS has made.
  database = concat(var.database[*], [
    for cluster in aws_rds_cluster.this : {
      host        = cluster.endpoint
      port        = cluster.port
      name        = cluster.database_name
      auth        = "iam"
      resource_id = cluster.cluster_resource_id
      users       = { load = "loader", api = "reader" }
      secret_arns = { migrate = cluster.master_user_secret[0].secret_arn }
    }
  ])[0]

  database_users       = merge({}, local.database.users)
  database_secret_arns = merge({}, local.database.secret_arns)

  # Where the functions find it, and as whom: a role that needs no password, or the secret of one that has.
  database_address = {
    DATABASE_HOST = local.database.host
    DATABASE_PORT = tostring(local.database.port)
    DATABASE_NAME = local.database.name
  }
  database_logins = merge(
    { for name, user in local.database_users : name => { DATABASE_USER = user } },
    { for name, arn in local.database_secret_arns : name => { DATABASE_SECRET_ARN = arn } },
  )
  database_permissions = merge(
    {
      for name, user in local.database_users : name => {
        actions   = ["rds-db:connect"]
        resources = ["arn:${local.partition}:rds-db:${local.region}:${local.account}:dbuser:${local.database.resource_id}/${user}"]
      }
    },
    {
      for name, arn in local.database_secret_arns : name => {
        actions = ["secretsmanager:GetSecretValue"]
        # migrate gives the roles that it makes their passwords.
        resources = name == "migrate" ? values(local.database_secret_arns) : [arn]
      }
    },
  )
}

resource "aws_db_subnet_group" "this" {
  count = var.database == null ? 1 : 0

  name        = local.aurora_id
  description = "Where the database of ${var.name} may be."
  subnet_ids  = [for subnet in aws_subnet.private : subnet.id]
  tags        = local.tags
}

resource "aws_rds_cluster_parameter_group" "this" {
  count = var.database == null ? 1 : 0

  name        = "${var.name}-${local.aurora_family}"
  description = "The settings of the database of ${var.name}."
  family      = local.aurora_family
  tags        = local.tags

  # Whoever asks for a connection without TLS gets none.
  parameter {
    name  = "rds.force_ssl"
    value = "1"
  }

  lifecycle {
    create_before_destroy = true
  }

  depends_on = [terraform_data.prerequisites]
}

# With this name PostgreSQL's log comes here, and is not kept for ever.
resource "aws_cloudwatch_log_group" "database" {
  count = var.database == null ? 1 : 0

  name              = "/aws/rds/cluster/${local.aurora_id}/postgresql"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
  tags              = local.tags

  depends_on = [terraform_data.prerequisites]
}

resource "aws_rds_cluster" "this" {
  # checkov:skip=CKV2_AWS_8:Aurora keeps continuous backups itself, for aurora.backup_days
  # checkov:skip=CKV2_AWS_27:the statements hold users' names, which must not stand in logs
  count = var.database == null ? 1 : 0

  cluster_identifier = local.aurora_id
  engine             = "aurora-postgresql"
  # Only the major version, one that can pause: AWS chooses the minor one, and upgrades it.
  engine_version                  = local.aurora_version
  database_name                   = "pipeline"
  port                            = local.database_port
  db_cluster_parameter_group_name = aws_rds_cluster_parameter_group.this[0].name
  tags                            = local.tags

  # RDS makes the administrator's password, changes it every week and keeps it in Secrets Manager.
  master_username                     = "postgres"
  manage_master_user_password         = true
  master_user_secret_kms_key_id       = var.kms_key_arn
  iam_database_authentication_enabled = true
  enable_http_endpoint                = true # migrate and people come by the Data API, and need no way into the network

  db_subnet_group_name   = aws_db_subnet_group.this[0].name
  vpc_security_group_ids = [aws_security_group.database[0].id]

  storage_encrypted         = true
  kms_key_id                = var.kms_key_arn
  backup_retention_period   = var.aurora.backup_days
  copy_tags_to_snapshot     = true
  deletion_protection       = var.deletion_protection
  skip_final_snapshot       = !var.aurora.final_snapshot
  final_snapshot_identifier = "${local.aurora_id}-of-${formatdate("YYYYMMDDhhmmss", plantimestamp())}"

  enabled_cloudwatch_logs_exports = ["postgresql"]

  # Without a connection for five minutes, the shortest time that AWS offers, it pauses and costs its storage only.
  serverlessv2_scaling_configuration {
    min_capacity             = 0
    max_capacity             = var.aurora.max_capacity
    seconds_until_auto_pause = 300
  }

  lifecycle {
    # The snapshot keeps the name of the moment when its cluster was planned, so the next cluster's finds another.
    ignore_changes = [final_snapshot_identifier]

    precondition {
      # Where the file is not, the rest of the repository is missing too, which migrate says.
      condition     = try(strcontains(file("${path.module}/../shared/rds_bundle.pem"), "# Amazon RDS ${local.region} Root CA RSA2048 G1"), true)
      error_message = "The functions would trust no database in ${local.region}: shared/rds_bundle.pem has no certificate authority of that region. .ci/rds_bundle.py makes the file anew from AWS's global-bundle.pem."
    }
  }

  depends_on = [aws_cloudwatch_log_group.database]
}

# One: a second would be billed whenever the first is. When its zone is gone AWS makes it anew in another, in minutes.
resource "aws_rds_cluster_instance" "this" {
  # checkov:skip=CKV_AWS_118:its agent is billed by what it logs, and CloudWatch has capacity and connections without it
  # checkov:skip=CKV_AWS_353:it takes capacity from a database that is the smallest there is, and asleep most of the time
  count = var.database == null ? 1 : 0

  identifier           = local.aurora_id
  cluster_identifier   = aws_rds_cluster.this[0].id
  engine               = aws_rds_cluster.this[0].engine
  instance_class       = "db.serverless"
  db_subnet_group_name = aws_db_subnet_group.this[0].name
  publicly_accessible  = false
  ca_cert_identifier   = "rds-ca-rsa2048-g1" # in the bundle that the functions trust
  # It would take capacity that the database does not need to tell what nobody looks at.
  performance_insights_enabled = false
  auto_minor_version_upgrade   = true
  tags                         = local.tags
}

# Brings roles and tables to what the contracts say: on the first apply and whenever they, the code or the database
# changed.
resource "aws_lambda_invocation" "migrate" {
  function_name = aws_lambda_function.this["migrate"].function_name

  input = jsonencode({
    contracts = sha256(join("", [for file in sort(keys(local.contracts)) : filesha256("${local.contracts_dir}/${file}")]))
  })

  triggers = {
    code = local.code_versions["migrate"]
    # A created database that is replaced shows in the administrator's secret, which has a new name each time.
    database = sha256(jsonencode(local.functions.migrate.environment))
  }

  lifecycle {
    precondition {
      condition     = length(local.contracts) > 0
      error_message = "There are no contracts beside the module, in ${local.contracts_dir}. The module needs its whole repository: use it by a relative path or as \"<repository>//terraform\", not by an absolute path."
    }
  }

  # Only an instance answers, not a cluster.
  depends_on = [aws_rds_cluster_instance.this]
}
