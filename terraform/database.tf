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

  # Who connects to it. To the created one migrate has another way.
  database_clients = concat(["api", "load"], var.database == null ? [] : ["migrate"])

  database_ca_bundle_key = var.database_ca_bundle == null ? null : "authorities/${sha256(var.database_ca_bundle)}.pem"
  database_ca_bundles    = [for key in local.database_ca_bundle_key[*] : aws_s3_object.config[key]]

  # Where they find it, whose certificates they trust if that is said, and as whom they log in: a role that needs no
  # password, or the secret of one that has.
  database_address = merge(
    {
      DATABASE_HOST = local.database.host
      DATABASE_PORT = tostring(local.database.port)
      DATABASE_NAME = local.database.name
    },
    { for object in local.database_ca_bundles : "DATABASE_CA_BUNDLE" => "s3://${object.bucket}/${object.key}" },
  )
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
  database_trust_permissions = {
    for name in ["api", "load", "migrate"] : name => [
      for object in local.database_ca_bundles : {
        actions   = ["s3:GetObject"]
        resources = ["${local.bucket_arns.config}/${object.key}"]
      } if contains(local.database_clients, name)
    ]
  }

  # What a given database's host says, if it is one of RDS: whether it is a proxy, and the region, which in China comes
  # last. The forms are those of github.com/aws/aws-advanced-python-wrapper, aws_advanced_python_wrapper/utils/rds_utils.py;
  # that of a global cluster names no region.
  rds_host = try(regex("[.](?P<proxy>proxy-)?[a-z0-9-]+[.](?:(?P<region>[a-z-]+-[0-9])[.]rds|rds[.](?P<last>[a-z-]+-[0-9]))[.]amazonaws[.]", lower(var.database.host)), null)

  # ACM makes the certificates of proxies, by public authorities:
  # https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-proxy.howitworks.html
  is_rds_proxy = try(local.rds_host.proxy != null, false)

  # The region whose authorities at RDS make the database's certificate; "" where none of them does.
  rds_region = var.database == null ? local.region : local.rds_host == null || local.is_rds_proxy ? "" : one(compact([local.rds_host.region, local.rds_host.last]))

  # Where AWS has them: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.SSL.html and
  # https://docs.amazonaws.cn/en_us/AmazonRDS/latest/UserGuide/UsingWithRDS.SSL.html
  rds_truststore = startswith(local.rds_region, "cn-") ? "https://rds-truststore.s3.cn-north-1.amazonaws.com.cn" : "https://truststore.pki.rds.amazonaws.com"
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
# changed. If it fails, nothing is kept in the state, so the next apply calls it again; nothing else depends on it.
resource "aws_lambda_invocation" "migrate" {
  function_name = aws_lambda_function.this["migrate"].function_name

  input = jsonencode({ contracts = local.contracts_hash })

  triggers = {
    code = local.code_versions["migrate"]
    # A created database that is replaced shows in the administrator's secret, which has a new name each time.
    database = sha256(jsonencode(local.functions.migrate.environment))
  }

  lifecycle {
    # A variable's validation may not refer to what is made of the variable, so the contracts are checked here.
    precondition {
      condition     = var.contracts_dir != null || length(local.contract_files) > 0
      error_message = "There are no contracts beside the module, in ${local.contracts_dir}. The module needs its whole repository: use it by a relative path or as \"<repository>//terraform\", not by an absolute path."
    }

    precondition {
      condition     = var.contracts_dir == null || length(local.contract_files) > 0
      error_message = "contracts_dir, ${jsonencode(local.contracts_dir)}, must be a folder with at least one contract, <table>.odcs.yaml. A relative path begins where you run Terraform: write \"$${path.module}/contracts\"."
    }

    precondition {
      # They would be ignored, or be the contracts of tables that no key can name.
      condition     = length(local.misnamed_contracts) == 0
      error_message = "${local.contracts_dir} holds ${join(", ", local.misnamed_contracts)}. Call each contract <table>.odcs.yaml, the table with up to 48 lower-case letters, digits and underscores, the first of them a letter; keep them in that folder itself, and other YAML files elsewhere."
    }

    precondition {
      # A function holds several copies of it while it reads them.
      condition     = length(local.contracts) <= 8 * 1024 * 1024
      error_message = "The contracts in ${local.contracts_dir} are larger than 8 MiB together: put some tables into another stack."
    }

    precondition {
      condition     = var.api_get_table == null || contains(local.tables, coalesce(var.api_get_table, "-"))
      error_message = "api_get_table is ${jsonencode(var.api_get_table)}, and ${local.contracts_dir} has no contract of that table: name one of ${join(", ", local.tables)}."
    }

    precondition {
      condition     = length(local.garbled_contracts) == 0
      error_message = "${local.contracts_dir} holds ${join(", ", local.garbled_contracts)}, which is not in UTF-8: save each contract in UTF-8."
    }

    precondition {
      condition     = length(local.huge_contracts) == 0
      error_message = "${local.contracts_dir} holds ${join(", ", local.huge_contracts)}, larger than 512 KiB, which no contract needs."
    }

    precondition {
      # Where the file is not, the rest of the repository is missing too, which is said above.
      condition     = var.database_ca_bundle != null || local.rds_region == "" || try(strcontains(file("${path.module}/../shared/rds_bundle.pem"), "# Amazon RDS ${local.rds_region} Root CA RSA2048 G1"), true)
      error_message = "The functions would trust no database of RDS in ${local.rds_region}: shared/rds_bundle.pem has no certificate authority of that region. Download ${local.rds_truststore}/${local.rds_region}/${local.rds_region}-bundle.pem, or what https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.SSL.html names for the region, and set database_ca_bundle = file(\"${local.rds_region}-bundle.pem\")."
    }

    precondition {
      condition     = var.database_ca_bundle != null || !local.is_rds_proxy || local.database.auth == "secret"
      error_message = "database.host is an RDS Proxy, and with database.auth = \"iam\" the functions trust RDS's own certificate authorities alone, which make none of a proxy's certificates. Download AmazonRootCA1.pem from https://www.amazontrust.com/repository/ and set database_ca_bundle = file(\"AmazonRootCA1.pem\")."
    }
  }

  # Only an instance answers, not a cluster. It copies the contracts that it finds, also those that Terraform replaces.
  depends_on = [aws_rds_cluster_instance.this, aws_s3_object.config]
}
