data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition
  # Provider 6 deprecates `name`, and provider 5 has no `region`. A plain reference to either is a warning or an error on
  # the other version; a look-up is neither.
  region = try(lookup(data.aws_region.current, "region"), lookup(data.aws_region.current, "name"))

  # If the file is missing, so is the whole repository, and a precondition in database.tf says so.
  version_file = "${path.module}/../shared/version.py"
  version      = fileexists(local.version_file) ? regex("(?m)^VERSION = \"(.+)\"$", file(local.version_file))[0] : null

  own_tags = { Application = var.name, ManagedBy = "Terraform", Version = local.version }
  tags     = merge(local.own_tags, var.tags)

  # The state machine calls functions that in turn name it, so its ARN is written out, not referred to.
  state_machine_name = "${var.name}-ingestion"
  state_machine_arn  = "arn:${local.partition}:states:${local.region}:${local.account}:stateMachine:${local.state_machine_name}"

  # The set of contracts: one text, which Python reads too (shared/contract_set.py). Nothing here decodes a contract: an
  # invalid one stops its own table only, migrate says what is wrong, and a few lines of YAML aliases would take all the
  # memory that there is.
  contracts_dir  = var.contracts_dir == null ? "${path.module}/../contracts" : var.contracts_dir
  contract_files = fileset(local.contracts_dir, "*.odcs.yaml")
  contracts      = jsonencode({ for file in local.contract_files : file => try(file("${local.contracts_dir}/${file}"), "") })
  contracts_hash = sha256(local.contracts)
  contracts_key  = "deployed/${local.contracts_hash}.json"
  tables         = [for file in sort(local.contract_files) : trimsuffix(file, ".odcs.yaml")]

  # What the preconditions of aws_lambda_invocation.migrate refuse. Base64 has four characters for three bytes.
  misnamed_contracts = [
    for file in fileset(local.contracts_dir, "**") : jsonencode(file)
    if can(regex("(?i)[.]ya?ml$", file)) && !can(regex("^[a-z][a-z0-9_]{0,47}[.]odcs[.]yaml$", file))
  ]
  garbled_contracts = [for file in local.contract_files : jsonencode(file) if !can(file("${local.contracts_dir}/${file}"))]
  huge_contracts    = [for file in local.contract_files : jsonencode(file) if length(filebase64("${local.contracts_dir}/${file}")) > 4 * ceil(512 * 1024 / 3)]

  # Where a function finds the set. It is not the object's attributes: Terraform then knows the hash when it plans.
  contract_settings = {
    CONFIG_BUCKET  = aws_s3_bucket.this["config"].bucket
    CONTRACTS_HASH = local.contracts_hash
  }

  # The folders under functions/ with a handler, and the keys of local.functions. They are written out because
  # local.functions refers to resources, and neither the images nor a validation can wait for those.
  function_names = ["alert", "api", "load", "migrate", "test", "transform", "trigger", "watch"]

  # Every function, its size and what it is told. What it may do stands in iam.tf.
  functions = {
    trigger = {
      memory  = 256
      timeout = 60
      environment = merge(local.contract_settings, {
        LOG_TABLE         = aws_dynamodb_table.log.name
        STATE_MACHINE_ARN = local.state_machine_arn
        MAX_CONCURRENCY   = tostring(var.max_concurrency)
      })
    }
    transform = {
      memory  = 2048
      timeout = 600
      environment = merge(local.contract_settings, {
        LOG_TABLE      = aws_dynamodb_table.log.name
        STAGING_BUCKET = aws_s3_bucket.this["staging"].bucket
      })
    }
    test = {
      memory  = 2048
      timeout = 600
      environment = merge(local.contract_settings, {
        LOG_TABLE      = aws_dynamodb_table.log.name
        STAGING_BUCKET = aws_s3_bucket.this["staging"].bucket
        HARD_TESTING   = tostring(var.hard_testing)
      })
    }
    load = {
      memory  = 2048
      timeout = 780
      environment = merge(local.contract_settings, local.database_address, local.database_logins.load, {
        LOG_TABLE      = aws_dynamodb_table.log.name
        STAGING_BUCKET = aws_s3_bucket.this["staging"].bucket
      })
    }
    alert = {
      memory  = 256
      timeout = 60
      environment = {
        LOG_TABLE      = aws_dynamodb_table.log.name
        STAGING_BUCKET = aws_s3_bucket.this["staging"].bucket
        TOPIC_ARN      = aws_sns_topic.alerts.arn
        ALERT_ON       = var.alert_on
      }
    }
    watch = {
      memory  = 512
      timeout = 300
      environment = merge(local.contract_settings, {
        LOG_TABLE         = aws_dynamodb_table.log.name
        LANDING_BUCKET    = aws_s3_bucket.this["landing"].bucket
        STATE_MACHINE_ARN = local.state_machine_arn
        MAX_CONCURRENCY   = tostring(var.max_concurrency)
      })
    }
    api = {
      memory  = 512
      timeout = 25
      environment = merge(
        local.contract_settings,
        local.database_address,
        local.database_logins.api,
        { LOG_TABLE = aws_dynamodb_table.log.name },
        length(var.api_cors_origins) > 0 ? { CORS_ORIGINS = jsonencode(sort(var.api_cors_origins)) } : {},
        var.api_get_table == null ? {} : { GET_TABLE = var.api_get_table },
      )
    }
    migrate = {
      memory  = 256
      timeout = 300
      environment = merge(
        local.contract_settings,
        local.database_logins.migrate,
        # By the Data API, or as the other two.
        var.database == null ? {
          DATABASE_CLUSTER_ARN = one(aws_rds_cluster.this[*].arn)
          DATABASE_NAME        = local.database.name
        } : local.database_address,
        # The roles to make.
        local.database.auth == "iam" ? {
          LOADER_USER = local.database_users.load
          READER_USER = local.database_users.api
          } : {
          LOADER_SECRET_ARN = local.database_secret_arns.load
          READER_SECRET_ARN = local.database_secret_arns.api
        },
      )
    }
  }
}
