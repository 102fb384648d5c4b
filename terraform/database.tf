# The database (created, or given by var.database), and the invocation of migrate.
locals {
  # All minor versions of this major version support automatic pause. Parameter groups depend on the major version.
  aurora_version = "17"
  aurora_family  = "aurora-postgresql${local.aurora_version}"
  aurora_id      = "${var.name}-database"

  # The database in the structure of var.database. In a created one, load and api log in with roles that migrate
  # creates, and migrate with the administrator's secret, which RDS creates.
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

  # The functions that connect to PostgreSQL. In a created database migrate uses the Data API instead.
  database_clients = concat(["api", "load"], var.database == null ? [] : ["migrate"])

  database_ca_bundle_key = var.database_ca_bundle == null ? null : "authorities/${sha256(var.database_ca_bundle)}.pem"
  database_ca_bundles    = [for key in local.database_ca_bundle_key[*] : aws_s3_object.config[key]]

  # Environment of these functions: the address, the CA bundle if one is set, and either the user name (IAM) or the
  # secret.
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
        # migrate sets the passwords of the roles that it creates.
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

  # Whether a given host is an RDS Proxy, and its region, which in China comes last. Null if the host is not one of RDS.
  # Source of the patterns: github.com/aws/aws-advanced-python-wrapper, aws_advanced_python_wrapper/utils/rds_utils.py.
  # The endpoint of a global cluster contains no region.
  rds_host = try(regex("[.](?P<proxy>proxy-)?[a-z0-9-]+[.](?:(?P<region>[a-z-]+-[0-9])[.]rds|rds[.](?P<last>[a-z-]+-[0-9]))[.]amazonaws[.]", lower(var.database.host)), null)

  # ACM issues the certificates of proxies, from public CAs:
  # https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-proxy.howitworks.html
  is_rds_proxy = try(local.rds_host.proxy != null, false)

  # Region of the RDS CAs that issue the database's certificate; "" if RDS does not issue it.
  rds_region = var.database == null ? local.region : local.rds_host == null || local.is_rds_proxy ? "" : one(compact([local.rds_host.region, local.rds_host.last]))

  # Sources: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.SSL.html and
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

  # Reject connections without TLS.
  parameter {
    name  = "rds.force_ssl"
    value = "1"
  }

  lifecycle {
    create_before_destroy = true
  }

  depends_on = [terraform_data.prerequisites]
}

# RDS writes PostgreSQL's log to the group of this name. Created here, the group has a retention period.
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
  # checkov:skip=CKV2_AWS_27:statements contain user names, which must not be logged
  count = var.database == null ? 1 : 0

  cluster_identifier = local.aurora_id
  engine             = "aurora-postgresql"
  # Only the major version: AWS chooses and upgrades the minor version.
  engine_version                  = local.aurora_version
  database_name                   = "pipeline"
  port                            = local.database_port
  db_cluster_parameter_group_name = aws_rds_cluster_parameter_group.this[0].name
  tags                            = local.tags

  # RDS creates the administrator's password, rotates it every week and stores it in Secrets Manager.
  master_username                     = "postgres"
  manage_master_user_password         = true
  master_user_secret_kms_key_id       = var.kms_key_arn
  iam_database_authentication_enabled = true
  enable_http_endpoint                = true # Data API, for migrate and operators, who have no access to the network

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

  # Pauses after five minutes without a connection (AWS's minimum). A paused cluster costs only its storage.
  serverlessv2_scaling_configuration {
    min_capacity             = 0
    max_capacity             = var.aurora.max_capacity
    seconds_until_auto_pause = 300
  }

  lifecycle {
    # The name contains the time of the first plan, so a second stack of this name gets a different snapshot name.
    ignore_changes = [final_snapshot_identifier]
  }

  depends_on = [aws_cloudwatch_log_group.database]
}

# One instance, because a second would double the cost. If its zone fails, AWS recreates it in another within minutes.
resource "aws_rds_cluster_instance" "this" {
  # checkov:skip=CKV_AWS_118:its agent's logs are billed, and CloudWatch has metrics for capacity and connections without it
  # checkov:skip=CKV_AWS_353:it uses capacity of a database that is small and paused most of the time
  count = var.database == null ? 1 : 0

  identifier           = local.aurora_id
  cluster_identifier   = aws_rds_cluster.this[0].id
  engine               = aws_rds_cluster.this[0].engine
  instance_class       = "db.serverless"
  db_subnet_group_name = aws_db_subnet_group.this[0].name
  publicly_accessible  = false
  ca_cert_identifier   = "rds-ca-rsa2048-g1" # in the bundle that the functions trust
  # See CKV_AWS_353 above.
  performance_insights_enabled = false
  auto_minor_version_upgrade   = true
  tags                         = local.tags
}

# Updates roles and tables to match the contracts: on the first apply, and when the contracts, the code or the database
# change. If it fails, the state does not contain it and the next apply invokes it again. Nothing else depends on it.
resource "aws_lambda_invocation" "migrate" {
  function_name = aws_lambda_function.this["migrate"].function_name

  input = jsonencode({ contracts = local.contracts_hash })

  triggers = {
    code = local.code_versions["migrate"]
    # The environment contains the ARN of the administrator's secret, which changes if the created database is replaced.
    database = sha256(jsonencode(local.functions.migrate.environment))
  }

  lifecycle {
    # These checks are not validations because a validation may not refer to locals derived from its variable.
    precondition {
      condition     = var.contracts_dir != null || length(local.contract_files) > 0
      error_message = "There are no contracts in ${local.contracts_dir}. The module needs its whole repository: set source to a relative path or to \"<repository>//terraform\", not to an absolute path."
    }

    precondition {
      condition     = var.contracts_dir == null || length(local.contract_files) > 0
      error_message = "contracts_dir, ${jsonencode(local.contracts_dir)}, must be a folder with at least one contract, <table>.odcs.yaml. A relative path is relative to the folder where you run Terraform: use \"$${path.module}/contracts\"."
    }

    precondition {
      # They would be ignored, or name tables that no landing key can contain.
      condition     = length(local.misnamed_contracts) == 0
      error_message = "${local.contracts_dir} contains ${join(", ", local.misnamed_contracts)}. Name each contract <table>.odcs.yaml, where <table> is up to 48 lower-case letters, digits and underscores, beginning with a letter. Keep contracts directly in that folder, and other YAML files elsewhere."
    }

    precondition {
      # A function has several copies of the set in memory while it parses them.
      condition     = length(local.contracts) <= 8 * 1024 * 1024
      error_message = "The contracts in ${local.contracts_dir} are larger than 8 MiB in total: move some tables to another stack."
    }

    precondition {
      condition     = var.api_get_table == null || contains(local.tables, coalesce(var.api_get_table, "-"))
      error_message = "api_get_table is ${jsonencode(var.api_get_table)}, but ${local.contracts_dir} contains no contract for that table: set it to one of ${join(", ", local.tables)}."
    }

    precondition {
      condition     = length(local.garbled_contracts) == 0
      error_message = "${local.contracts_dir} contains ${join(", ", local.garbled_contracts)}, not encoded in UTF-8: save each contract in UTF-8."
    }

    precondition {
      condition     = length(local.huge_contracts) == 0
      error_message = "${local.contracts_dir} contains ${join(", ", local.huge_contracts)}, larger than the limit of 512 KiB: shorten each contract."
    }

    precondition {
      # If the file is missing, the whole repository is, which the first precondition reports.
      condition     = var.database_ca_bundle != null || local.rds_region == "" || try(strcontains(file("${path.module}/../shared/rds_bundle.pem"), "# Amazon RDS ${local.rds_region} Root CA RSA2048 G1"), true)
      error_message = "The functions would not trust an RDS database in ${local.rds_region}: shared/rds_bundle.pem contains no certificate authority of that region. Download ${local.rds_truststore}/${local.rds_region}/${local.rds_region}-bundle.pem, or the bundle that https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.SSL.html lists for the region, and set database_ca_bundle = file(\"${local.rds_region}-bundle.pem\")."
    }

    precondition {
      condition     = var.database_ca_bundle != null || !local.is_rds_proxy || local.database.auth == "secret"
      error_message = "database.host is an RDS Proxy, whose certificate is not issued by the certificate authorities of RDS. With database.auth = \"iam\" the functions trust only those. Download AmazonRootCA1.pem from https://www.amazontrust.com/repository/ and set database_ca_bundle = file(\"AmazonRootCA1.pem\")."
    }
  }

  # A cluster without an instance does not answer. migrate copies the contract sets that it finds in the config bucket.
  depends_on = [aws_rds_cluster_instance.this, aws_s3_object.config]
}
